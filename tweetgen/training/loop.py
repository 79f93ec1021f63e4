"""Fine-tuning as a generator: each step and each validation is one report, and between two of them
the caller decides whether to print, to save the state or to stop.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tweetgen.dataset import TokenizedTweets, TrainingOrder, make_batch
from tweetgen.device import keep_freed_memory, memory_errors, return_freed_memory
from tweetgen.errors import TweetgenError
from tweetgen.settings import TrainingSettings
from tweetgen.training import schedule
from tweetgen.training.learner import Learner, adapt, check_fit, memory_advice
from tweetgen.training.loss import gradient_of
from tweetgen.training.ranks import Ranks
from tweetgen.training.reports import Report, StepReport, ValidationReport
from tweetgen.training.validation import validate


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
    Validated, drawn from and saved are not the last weights but their `averages` over the last
    steps, which lie around a better point than any of them (Izmailov et al., "Averaging Weights
    Leads to Wider Optima and Better Generalization", 2018); with `--ema_decay 0` there are none.
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
        num_parameters = model.num_parameters()  # without adapters
        with memory_errors(memory_advice(settings)):
            self.lora_rank = adapt(model, settings, precision)
            dropout, checkpointing = settings.dropout, settings.gradient_checkpointing
            self.learner = Learner(model, device, precision, dropout, checkpointing)
            self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
            self.optimizer = torch.optim.AdamW(
                self.parameters.values(), lr=0.0, weight_decay=settings.weight_decay, fused=True
            )
            is_averaged = settings.ema_decay > 0
            self.averages = {
                n: p.detach().clone() for n, p in self.parameters.items() if is_averaged
            }
        self.peak = settings.learning_rate or schedule.default_learning_rate(
            num_parameters, bool(self.lora_rank)
        )
        self._order = TrainingOrder(tweets, settings.batch_size, settings.seed)
        self.steps_per_epoch = self._order.steps_per_epoch
        limits = (settings.epochs * self.steps_per_epoch, settings.max_steps)
        self.total_steps = min(filter(None, limits))  # at most
        self._validation_steps = schedule.validation_steps(
            tweets.num_training, tweets.num_validation, self.steps_per_epoch
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
                    return_freed_memory()  # of the steps before
                    yield self._validate()
                    return_freed_memory()  # of the validation, and of what was done with it
                elif self.position.finished:
                    return
                else:
                    yield self._take_step()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, earlier runs included."""
        return self.position.seconds + time.monotonic() - self._started

    @property
    def is_complete(self) -> bool:
        """Whether the training has ended and the end was validated."""
        return bool(self.position.finished) and not self._validation_is_due()

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
            "averages": {name: value.cpu() for name, value in self.averages.items()},
            "first_moments": {name: moment["exp_avg"] for name, moment in moments.items()},
            "second_moments": {name: moment["exp_avg_sq"] for name, moment in moments.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state, bit by bit as if there had been no break (on a CPU).

        Raises:
            TweetgenError: it is not a state of a training, or of another version of tweetgen.
        """
        if wrong := state.keys() ^ self.state().keys():
            raise TweetgenError(
                f"the saved state differs in '{min(wrong)}' from what this version of tweetgen "
                "saves. Start anew without --resume."
            )
        for name, tensor in state["weights"].items():
            self.parameters[name].data.copy_(tensor)
        for name, tensor in state["averages"].items():
            self.averages[name].copy_(tensor)
        for name, first in state["first_moments"].items():
            device = self.parameters[name].device
            self.optimizer.state[self.parameters[name]] = {
                "step": torch.tensor(float(state["step"]), device=device),
                "exp_avg": first.to(device, copy=True),
                "exp_avg_sq": state["second_moments"][name].to(device, copy=True),
            }
        self.best_weights = {name: tensor.clone() for name, tensor in state["best_weights"].items()}
        self.position = Position(**{name: state[name] for name in vars(self.position)})
        self._started = time.monotonic()

    @contextmanager
    def in_place(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Inside the block the model has these weights: its `averages` or `best_weights`."""
        current = {name: self.parameters[name].data for name in weights}
        try:
            for name, value in weights.items():
                self.parameters[name].data = value.to(current[name].device)
            yield
        finally:
            for name, value in current.items():
                self.parameters[name].data = value

    def _take_step(self) -> StepReport:
        position, progress = self.position, self._progress()
        rate = schedule.learning_rate(position.step, progress, self.peak, self.settings)
        tweets = self._order.tweets(position.step)
        num_targets = int(self.tweets.lengths[tweets].sum())
        loss = self._compute_gradients(tweets, num_targets) / num_targets
        self._clip_gradients(loss)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        position.step += 1
        self._update_averages()
        position.losses.append(loss)
        self._note_end()
        epoch = math.ceil(position.step / self.steps_per_epoch)
        return StepReport(position.step, epoch, loss, rate, num_targets, self.seconds)

    def _compute_gradients(self, tweets: Tensor, num_targets: int) -> float:
        """Compute the gradients of the mean loss, over all ranks; returns the summed loss.

        This rank takes its share of the tweets, in `accumulate` parts of about equal length.
        """
        settings, ranks = self.settings, self.ranks
        if settings.dropout:  # depends on seed, step and rank alone: there is no state to save
            seed = settings.seed * 1_000_003 + self.position.step
            torch.manual_seed(seed * 1_009 + ranks.rank)
        self.model.zero_grad(set_to_none=True)
        loss = torch.zeros((), dtype=torch.float64)
        num_parts = ranks.size * settings.accumulate
        for number in range(ranks.rank, num_parts, ranks.size):
            if len(part := tweets[number::num_parts]):
                batch = make_batch(self.tweets, part)
                loss += self.learner.add_gradients(batch, 1 / num_targets).cpu().double()
        ranks.sum(loss)
        if ranks.size > 1:
            ranks.sum(*map(gradient_of, self.parameters.values()))
        return float(loss)

    def _clip_gradients(self, loss: float) -> None:
        """Limit the norm of all gradients to `max_grad_norm`; raise where it or the loss is inf."""
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norm, limit = torch.nn.utils.get_total_norm(gradients), self.settings.max_grad_norm
        if not (math.isfinite(loss) and norm.isfinite()):
            what = "loss" if norm.isfinite() else "gradient"
            error = TweetgenError(
                f"{what} is not finite at step {self.position.step + 1}; "
                "lower --learning_rate or resume from the last saved state with --resume."
            )
            raise self.ranks.shared(error)
        if limit and norm > limit:
            torch.nn.utils.clip_grads_with_norm_(self.parameters.values(), limit, norm)

    @torch.no_grad()
    def _update_averages(self) -> None:
        if self.averages:
            # Over the last third of the steps so far, until that is more than 1 / (1 - decay).
            step = self.position.step
            decay = min(self.settings.ema_decay, step / (step + 3))
            parameters = [parameter.detach() for parameter in self.parameters.values()]
            torch._foreach_lerp_(list(self.averages.values()), parameters, 1 - decay)

    def _progress(self) -> float:
        """The fraction of the training that the middle of the next step is at."""
        progress = (self.position.step + 0.5) / self.total_steps
        return (
            min(1.0, max(progress, self._spent_time())) if self.settings.max_minutes else progress
        )

    def _spent_time(self) -> float:
        """The fraction of `max_minutes` that is over, the same on all ranks."""
        return self.ranks.from_first(self.seconds) / (60 * self.settings.max_minutes)

    def _note_end(self) -> None:
        """Note when the training is over, and why."""
        position = self.position
        if self.settings.max_minutes and self._spent_time() >= 1:
            position.finished = "max_minutes"
        if position.step >= self.total_steps:
            is_last = position.step >= self.settings.epochs * self.steps_per_epoch
            position.finished = "epochs" if is_last else "max_steps"

    def _validation_is_due(self) -> bool:
        step = self.position.step
        if self.position.validated_step == step:
            return False
        place = step % self.steps_per_epoch or self.steps_per_epoch
        return step == 0 or bool(self.position.finished) or place in self._validation_steps

    def _validate(self) -> ValidationReport:
        position = self.position
        found: dict[str, Any] = {"loss": None}
        with self.in_place(self.averages):
            if self.tweets.num_validation:
                found = validate(self.learner, self.tweets, self.ranks)._asdict()
            is_best = self._note_best(found["loss"])
        since = position.losses[max(position.validated_step, 0) :]
        position.validated_step = position.step
        report = ValidationReport(
            step=position.step,
            epoch=position.step / self.steps_per_epoch,
            training_loss=math.fsum(since) / len(since) if since else None,
            is_best=is_best,
            seconds=self.seconds,
            **found,
        )
        position.history.append(dataclasses.asdict(report))
        return report

    def _note_best(self, loss: float | None) -> bool:
        """Keep the weights if this is the lowest loss so far (None: always), else stop in time."""
        position = self.position
        if loss is None or loss < position.best_loss:
            position.best_loss = math.inf if loss is None else loss
            position.best_step = position.step
            for name, parameter in self.parameters.items():
                self.best_weights[name] = parameter.detach().to("cpu", copy=True)
            return True
        patience = math.floor(self.settings.patience * self.steps_per_epoch)
        if self.settings.patience and position.step - position.best_step >= patience:
            position.finished = position.finished or "patience"
        return False
