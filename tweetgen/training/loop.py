"""Fine-tuning as a generator: each step and each validation is one report, and between two of them
the caller decides whether to print, to save the state or to stop.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tweetgen.dataset import PackedBatch, TokenizedTweets, TrainingOrder, make_batch
from tweetgen.device import keep_freed_memory, memory_errors
from tweetgen.errors import TweetgenError
from tweetgen.settings import TrainingSettings
from tweetgen.training import schedule
from tweetgen.training.averaging import WeightAverage
from tweetgen.training.learner import Learner
from tweetgen.training.loss import gradient_of
from tweetgen.training.ranks import Ranks
from tweetgen.training.reports import Report, StepReport, ValidationReport
from tweetgen.training.setup import adapt, check_fit, make_learner, memory_advice
from tweetgen.training.validation import Expectation, validate

SECONDS_PER_MINUTE = 60


@dataclasses.dataclass
class Position:
    """How far a training is: all of its state but the tensors."""

    step: int = 0
    finished: str = ""  # or why: "epochs", "max_steps", "max_minutes", "patience"
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # validation reports
    losses: list[float] = dataclasses.field(default_factory=list)  # of each step
    best_loss: float = math.inf
    best_step: int = 0
    validated_step: int = -1
    seconds: float = 0.0  # in earlier runs


class Training:
    """One training of a model on tokenized tweets.

    `run` yields reports; after each of them `state` is all that is needed to go on from there.
    """

    def __init__(
        self,
        model: Any,
        tweets: TokenizedTweets,
        settings: TrainingSettings,
        *,
        device: torch.device,
        precision: torch.dtype,
        ranks: Ranks = Ranks(),  # noqa: B008
    ) -> None:
        """Prepare the model (which is changed) and the optimiser.

        Raises:
            TweetgenError: model, tweets and settings do not go together, or memory is short.
        """
        check_fit(model, tweets)
        if device.type == "cpu":
            keep_freed_memory()
        self.model, self.tweets, self.settings, self.ranks = model, tweets, settings, ranks
        self.num_parameters: int = model.num_parameters()  # without adapters
        with memory_errors(memory_advice(settings)):
            self.lora_rank = adapt(model, settings, precision)
            self.learner: Learner = make_learner(model, settings, device, precision)
            self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
            self.optimizer = torch.optim.AdamW(
                self.parameters.values(), lr=0.0, weight_decay=settings.weight_decay, fused=True
            )
            self.average = WeightAverage(self.parameters, settings.ema_decay)
        self.peak = settings.learning_rate or schedule.default_learning_rate(
            self.num_parameters, bool(self.lora_rank)
        )
        self._order = TrainingOrder(tweets, settings.batch_size, settings.seed)
        self.steps_per_epoch = self._order.steps_per_epoch
        self.total_steps = schedule.total_steps(settings, self.steps_per_epoch)
        self._validation_steps = set(
            schedule.validation_steps(
                tweets.num_training, tweets.num_validation, self.steps_per_epoch
            )
        )
        self.position = Position()
        self.best_weights: dict[str, Tensor] = {}  # of what is trained, on the CPU
        self._started = time.monotonic()

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Report]:
        """Train to the end, or until `should_stop`, asked before each report, says so.

        Raises:
            TweetgenError: the loss is not finite (the last good weights are kept), or memory is
                short.
        """
        with memory_errors(memory_advice(self.settings)):
            while not self.ranks.any(should_stop()):
                if self._validation_is_due():
                    yield self._validate()
                elif self.position.finished:
                    return
                else:
                    yield self._take_step()

    def state(self) -> dict[str, Any]:
        """Everything a run needs to go on from here, as plain values and tensors (shared)."""
        moments = {
            name: self.optimizer.state[parameter]
            for name, parameter in self.parameters.items()
            if parameter in self.optimizer.state
        }
        return vars(self.position) | {
            "seconds": self.seconds,
            "weights": {name: value.detach().cpu() for name, value in self.parameters.items()},
            "best_weights": self.best_weights,
            "averages": {name: value.cpu() for name, value in self.average.values.items()},
            "first_moments": {name: moment["exp_avg"] for name, moment in moments.items()},
            "second_moments": {name: moment["exp_avg_sq"] for name, moment in moments.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state, bit by bit as if there had been no break (on a CPU).

        Raises:
            TweetgenError: it is not a state of a training, or of another version of tweetgen.
        """
        wrong = state.keys() ^ self.state().keys()
        if wrong:
            raise TweetgenError(
                f"the saved state differs in '{min(wrong)}' from what this version of tweetgen "
                "saves. Start anew without --resume."
            )
        for name, tensor in state["weights"].items():
            self.parameters[name].data.copy_(tensor)
        for name, first in state["first_moments"].items():
            device = self.parameters[name].device
            self.optimizer.state[self.parameters[name]] = {
                "step": torch.tensor(float(state["step"]), device=device),
                "exp_avg": first.to(device, copy=True),
                "exp_avg_sq": state["second_moments"][name].to(device, copy=True),
            }
        self.average.restore(state["averages"])
        self.best_weights = {name: tensor.clone() for name, tensor in state["best_weights"].items()}
        self.position = Position(**{name: state[name] for name in vars(self.position)})
        self._started = time.monotonic()

    @contextmanager
    def best_in_place(self) -> Iterator[None]:
        """Inside the block the model is the best so far."""
        current = {name: parameter.data for name, parameter in self.parameters.items()}
        try:
            for name, value in self.best_weights.items():
                self.parameters[name].data = value.to(current[name].device)
            yield
        finally:
            for name, value in current.items():
                self.parameters[name].data = value

    @property
    def seconds(self) -> float:
        """Seconds of training so far, earlier runs included."""
        return self.position.seconds + time.monotonic() - self._started

    @property
    def is_complete(self) -> bool:
        """Whether the training has ended and the end was validated."""
        return bool(self.position.finished) and not self._validation_is_due()

    def _take_step(self) -> StepReport:
        rate = schedule.learning_rate(
            self.position.step, self._progress(), self.peak, self.settings
        )
        tweets = self._order.tweets(self.position.step)
        num_targets = int(self.tweets.lengths[tweets].sum())
        loss = self._compute_gradients(tweets, num_targets)
        norm = self._clip_gradients()
        self._check_finite(loss, norm)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        self.position.step += 1
        self.average.update(self.position.step)
        self.position.losses.append(loss / num_targets)
        seconds = self._check_limits()
        epoch = math.ceil(self.position.step / self.steps_per_epoch)
        return StepReport(self.position.step, epoch, loss / num_targets, rate, num_targets, seconds)

    def _compute_gradients(self, tweets: Tensor, num_targets: int) -> float:
        """Compute the gradients of the mean loss, over all ranks; returns the summed loss."""
        if self.settings.dropout:
            torch.manual_seed(self._dropout_seed())
        self.learner.clear_gradients()
        loss = torch.zeros((), dtype=torch.float64)
        for batch in self._micro_batches(tweets):
            loss += self.learner.add_gradients(batch, 1 / num_targets).cpu().double()
        self.ranks.sum(loss)
        if self.ranks.size > 1:
            self.ranks.sum_all([gradient_of(p) for p in self.parameters.values()])
        return float(loss)

    def _micro_batches(self, tweets: Tensor) -> Iterator[PackedBatch]:
        """This rank's share of a step, in `accumulate` parts of about equal length."""
        parts = self.ranks.size * self.settings.accumulate
        for part in range(self.ranks.rank, parts, self.ranks.size):
            if len(tweets[part::parts]):
                yield make_batch(self.tweets, tweets[part::parts])

    def _dropout_seed(self) -> int:
        """The random state of a step depends on seed, step and rank alone: nothing to save."""
        seed = self.settings.seed * 1_000_003 + self.position.step
        return seed * 1_009 + self.ranks.rank

    def _clip_gradients(self) -> float:
        """The norm of all gradients before it is limited to `max_grad_norm`."""
        norm = torch.nn.utils.get_total_norm(
            [p.grad for p in self.parameters.values() if p.grad is not None]
        )
        limit = self.settings.max_grad_norm
        if limit and norm > limit:
            torch.nn.utils.clip_grads_with_norm_(self.parameters.values(), limit, norm)
        return float(norm)

    def _check_finite(self, loss: float, norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        what = "loss" if math.isfinite(norm) else "gradient"
        raise self.ranks.shared(
            TweetgenError(
                f"{what} is not finite at step {self.position.step + 1}; "
                "lower --learning_rate or resume from the last saved state with --resume."
            )
        )

    def _progress(self) -> float:
        """The fraction of the training that the middle of the next step is at."""
        progress = (self.position.step + 0.5) / self.total_steps
        if not self.settings.max_minutes:
            return progress
        elapsed = self.ranks.from_first(self.seconds)
        return min(1.0, max(progress, elapsed / (SECONDS_PER_MINUTE * self.settings.max_minutes)))

    def _check_limits(self) -> float:
        """Note when the training is over; returns the seconds, the same on all ranks."""
        seconds = self.seconds
        if self.settings.max_minutes:
            seconds = self.ranks.from_first(seconds)
            if seconds >= SECONDS_PER_MINUTE * self.settings.max_minutes:
                self.position.finished = "max_minutes"
        if self.position.step >= self.total_steps:
            is_last = self.position.step >= self.settings.epochs * self.steps_per_epoch
            self.position.finished = "epochs" if is_last else "max_steps"
        return seconds

    def _validation_is_due(self) -> bool:
        step = self.position.step
        if self.position.validated_step == step:
            return False
        place = step % self.steps_per_epoch or self.steps_per_epoch
        return step == 0 or bool(self.position.finished) or place in self._validation_steps

    def _validate(self) -> ValidationReport:
        with self.average.in_place():
            found: Expectation | None = None
            if self.tweets.num_validation:
                found = validate(self.learner, self.tweets, self.ranks)
            is_best = self._note_best(found.loss if found else None)
        position = self.position
        since = position.losses[max(position.validated_step, 0) :]
        position.validated_step = position.step
        report = ValidationReport(
            step=position.step,
            epoch=position.step / self.steps_per_epoch,
            training_loss=math.fsum(since) / len(since) if since else None,
            loss=found and found.loss,
            bits_per_character=found and found.bits_per_character,
            eos_bits_per_character=found and found.eos_bits_per_character,
            is_best=is_best,
            seconds=self.seconds,
        )
        position.history.append(dataclasses.asdict(report))
        return report

    def _note_best(self, loss: float | None) -> bool:
        """Keep the weights if this is the lowest loss so far (None: always), else stop in time."""
        position = self.position
        if loss is None or loss < position.best_loss:
            position.best_loss = math.inf if loss is None else loss
            position.best_step = position.step
            self._keep_best()
            return True
        since_best = position.step - position.best_step
        patience = math.floor(self.settings.patience * self.steps_per_epoch)
        if self.settings.patience and since_best >= patience:
            position.finished = position.finished or "patience"
        return False

    def _keep_best(self) -> None:
        if not self.best_weights:
            self.best_weights = {n: p.detach().cpu().clone() for n, p in self.parameters.items()}
            return
        for name, parameter in self.parameters.items():
            self.best_weights[name].copy_(parameter.detach())
