"""Fine-tuning as a generator: each step and each validation is one report, and between two of them
the caller decides whether to print, to save the state or to stop.
"""

import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from tweetgen.dataset import Batch, Tokens, TrainingOrder, make_batch
from tweetgen.device import keep_freed_memory, memory_errors
from tweetgen.errors import TweetgenError
from tweetgen.models import context_length
from tweetgen.settings import AUTO, TrainingSettings
from tweetgen.training.averaging import WeightAverage
from tweetgen.training.learner import Learner, set_dropout
from tweetgen.training.lora import add_lora, merged_weights
from tweetgen.training.loss import gradient_of
from tweetgen.training.ranks import Ranks
from tweetgen.training.schedule import (
    default_learning_rate,
    default_lora_rank,
    learning_rate,
    validation_steps,
)
from tweetgen.training.validation import validate

SECONDS_PER_MINUTE = 60


@dataclasses.dataclass(frozen=True)
class StepReport:
    """One optimiser step. `loss` is the mean over its `tokens` real targets, in nats."""

    step: int  # from 1
    epoch: int  # from 1
    loss: float
    learning_rate: float
    tokens: int  # real ones, over all ranks
    seconds: float  # since training began, earlier runs included


@dataclasses.dataclass(frozen=True)
class ValidationReport:
    """The model after `step` steps; the numbers are None where no tweets are held out."""

    step: int
    epoch: int  # 0 before training
    training_loss: float | None  # mean since the last report of this kind, nats a token
    loss: float | None  # nats a token, EOS included
    bits_per_character: float | None  # EOS included
    eos_bits_per_character: float | None  # the part of it that EOS costs
    is_best: bool
    seconds: float


Report = StepReport | ValidationReport


class Training:
    """One training of a model on the tweets of a token file.

    `run` yields reports; after each of them `state` is all that is needed to go on from there.
    """

    def __init__(
        self,
        model: Any,
        tokens: Tokens,
        settings: TrainingSettings,
        *,
        device: torch.device,
        precision: torch.dtype,
        ranks: Ranks = Ranks(),  # noqa: B008
    ) -> None:
        if len(tokens.ids) and int(tokens.ids.max()) >= model.get_input_embeddings().num_embeddings:
            raise TweetgenError("the data has tokens the model does not know. Run preprocess.py.")
        context = context_length(model.config.to_dict())
        if len(tokens.lengths) and int(tokens.lengths.max()) > context:
            raise TweetgenError(
                f"the data has tweets of more than the {context} tokens the model can read. "
                "Run preprocess.py with the --model to be trained."
            )
        self.model, self.tokens, self.settings, self.ranks = model, tokens, settings, ranks
        if device.type == "cpu":
            keep_freed_memory()
        size, self.lora_rank = model.num_parameters(), settings.lora_rank
        if self.lora_rank == AUTO:
            self.lora_rank = 0 if settings.from_scratch else default_lora_rank(size)
        if self.lora_rank and settings.from_scratch:
            raise TweetgenError(
                "--lora_rank adapts a pre-trained model; leave it out with --from_scratch."
            )
        if self.lora_rank:
            add_lora(model, self.lora_rank, settings.seed)
        self.peak = settings.learning_rate or default_learning_rate(size, bool(self.lora_rank))
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        with memory_errors(_smaller_batches(settings)):
            self.learner = _prepared(model, settings, device, precision)
            self.optimizer = torch.optim.AdamW(
                self.parameters.values(), lr=0.0, weight_decay=settings.weight_decay, fused=True
            )
            self.average = WeightAverage(self.parameters, settings.ema_decay)
        self._order = TrainingOrder(tokens, settings.batch_size, settings.seed)
        self.steps_per_epoch = self._order.steps_per_epoch
        limits = [settings.epochs * self.steps_per_epoch, settings.max_steps]
        self.total_steps = min(limit for limit in limits if limit)
        self.validation_steps = set(
            validation_steps(tokens.num_training, tokens.num_validation, self.steps_per_epoch)
        )
        self.step = 0
        self.finished = ""  # or why: "epochs", "max_steps", "max_minutes", "patience"
        self.history: list[dict[str, Any]] = []  # the fields of each ValidationReport
        self.losses: list[float] = []  # of each step
        self.best_weights: dict[str, Tensor] = {}  # of what is trained, on the CPU
        self._best_loss = math.inf
        self._since_best = 0
        self._validated_step = -1
        self._seconds_before = 0.0
        self._started = time.monotonic()

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Report]:
        """Train to the end, or until `should_stop`, asked before each report, says so.

        Raises:
            TweetgenError: the loss is not finite (the last good weights are kept), or memory is
                short.
        """
        with memory_errors(_smaller_batches(self.settings)):
            while not self.ranks.any(should_stop()):
                if self._validation_is_due():
                    yield self._validate()
                elif self.finished:
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
        return {
            "step": self.step,
            "finished": self.finished,
            "history": self.history,
            "losses": self.losses,
            "best_loss": self._best_loss,
            "since_best": self._since_best,
            "validated_step": self._validated_step,
            "seconds": self.seconds,
            "weights": {name: value.detach().cpu() for name, value in self.parameters.items()},
            "best_weights": self.best_weights,
            "averages": {name: value.cpu() for name, value in self.average.values.items()},
            "first_moments": {name: moment["exp_avg"] for name, moment in moments.items()},
            "second_moments": {name: moment["exp_avg_sq"] for name, moment in moments.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state, bit by bit as if there had been no break (on a CPU)."""
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
        self.step, self.finished = state["step"], state["finished"]
        self.history, self.losses = list(state["history"]), list(state["losses"])
        self.best_weights = {name: tensor.clone() for name, tensor in state["best_weights"].items()}
        self._best_loss, self._since_best = state["best_loss"], state["since_best"]
        self._validated_step, self._seconds_before = state["validated_step"], state["seconds"]
        self._started = time.monotonic()

    def finish(self) -> dict[str, Tensor]:
        """All weights of the model at its best, adapters merged; there can be no steps after.

        The memory that only further steps would need is given back.
        """
        self.optimizer.state.clear()
        self.learner.clear_gradients()
        for name, value in self.best_weights.items():
            self.parameters[name].data = value
        return merged_weights(self.model)

    @property
    def seconds(self) -> float:
        """Seconds of training so far, earlier runs included."""
        return self._seconds_before + time.monotonic() - self._started

    @property
    def is_complete(self) -> bool:
        """Whether the end was reached and looked at: nothing is left to do."""
        return bool(self.finished) and not self._validation_is_due()

    def _epoch(self) -> int:
        """The epoch of the step just taken, from 1; 0 before the first."""
        return math.ceil(self.step / self.steps_per_epoch)

    def _take_step(self) -> StepReport:
        rate = learning_rate(self._progress(), self.peak, self.settings)
        tweets = self._order.tweets(self.step)
        num_targets = int(self.tokens.lengths[tweets].sum())
        loss = self._gradients(tweets, num_targets)
        norm = self._clip_gradients()
        self._check_finite(loss, norm)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        self.step += 1
        self.average.update(self.step)
        self.losses.append(loss / num_targets)
        seconds = self._check_limits()
        return StepReport(self.step, self._epoch(), self.losses[-1], rate, num_targets, seconds)

    def _gradients(self, tweets: Tensor, num_targets: int) -> float:
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

    def _clip_gradients(self) -> float:
        """The norm of all gradients before it is limited to `max_grad_norm`."""
        norm = torch.nn.utils.get_total_norm(
            [p.grad for p in self.parameters.values() if p.grad is not None]
        )
        limit = self.settings.max_grad_norm
        if limit and norm > limit:
            torch.nn.utils.clip_grads_with_norm_(self.parameters.values(), limit, norm)
        return float(norm)

    def _progress(self) -> float:
        """The fraction of the training that the middle of the next step is at."""
        progress = (self.step + 0.5) / self.total_steps
        if not self.settings.max_minutes:
            return progress
        elapsed = self.ranks.from_first(self.seconds)
        return min(1.0, max(progress, elapsed / (SECONDS_PER_MINUTE * self.settings.max_minutes)))

    def _micro_batches(self, tweets: Tensor) -> Iterator[Batch]:
        """This rank's share of a step, in `accumulate` parts of about equal length."""
        parts = self.ranks.size * self.settings.accumulate
        for part in range(self.ranks.rank, parts, self.ranks.size):
            if len(tweets[part::parts]):
                yield make_batch(self.tokens, tweets[part::parts])

    def _dropout_seed(self) -> int:
        """The random state of a step depends on seed, step and rank alone: nothing to save."""
        return (self.settings.seed * 1_000_003 + self.step) * 1_009 + self.ranks.rank

    def _check_finite(self, loss: float, norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            return
        what = "loss" if math.isfinite(norm) else "gradient"
        raise self.ranks.shared(
            TweetgenError(
                f"{what} is not finite at step {self.step + 1}; "
                "lower --learning_rate or resume from the last saved state with --resume."
            )
        )

    def _check_limits(self) -> float:
        """Note when the training is over; returns the seconds, the same on all ranks."""
        seconds = self.seconds
        if self.settings.max_minutes:
            seconds = self.ranks.from_first(seconds)
            if seconds >= SECONDS_PER_MINUTE * self.settings.max_minutes:
                self.finished = "max_minutes"
        if self.step >= self.total_steps:
            is_last = self.step >= self.settings.epochs * self.steps_per_epoch
            self.finished = "epochs" if is_last else "max_steps"
        return seconds

    def _validation_is_due(self) -> bool:
        if self._validated_step == self.step:
            return False
        place = self.step % self.steps_per_epoch or self.steps_per_epoch
        return self.step == 0 or bool(self.finished) or place in self.validation_steps

    def _validate(self) -> ValidationReport:
        with self.average.in_place():
            return self._validate_in_place()

    def _validate_in_place(self) -> ValidationReport:
        found = (
            validate(self.learner, self.tokens, self.ranks) if self.tokens.num_validation else None
        )
        since = self.losses[max(self._validated_step, 0) :]
        self._validated_step = self.step
        is_best = found is None or found.loss < self._best_loss
        if is_best:
            self._best_loss = found.loss if found else math.inf
            self._since_best = 0
            self._keep_best()
        else:
            self._since_best += 1
            if self.settings.patience and self._since_best >= self.settings.patience:
                self.finished = self.finished or "patience"
        report = ValidationReport(
            step=self.step,
            epoch=self._epoch(),
            training_loss=math.fsum(since) / len(since) if since else None,
            loss=found and found.loss,
            bits_per_character=found and found.bits_per_character,
            eos_bits_per_character=found and found.eos_bits_per_character,
            is_best=is_best,
            seconds=self.seconds,
        )
        self.history.append(dataclasses.asdict(report))
        return report

    def _keep_best(self) -> None:
        if not self.best_weights:
            self.best_weights = {n: p.detach().cpu().clone() for n, p in self.parameters.items()}
            return
        for name, parameter in self.parameters.items():
            self.best_weights[name].copy_(parameter.detach())


def _smaller_batches(settings: TrainingSettings) -> str:
    """What memory is short for, and what needs less."""
    size = settings.batch_size
    advice = "try --gradient_checkpointing or a smaller model"
    if size > 1:
        advice = f"try {size // 2} with --accumulate {2 * settings.accumulate}"
    return f"for --batch_size {size}; {advice}"


def _prepared(
    model: Any, settings: TrainingSettings, device: torch.device, precision: torch.dtype
) -> Learner:
    """The model as a learner, with what the settings say about its layers."""
    is_plain = not settings.dropout and not settings.gradient_checkpointing
    learner = Learner(model, device, precision, is_plain=is_plain)
    set_dropout(model, settings.dropout)
    if settings.gradient_checkpointing:
        try:
            with warnings.catch_warnings(action="ignore"):  # renamed in later 5.x, kept until 6
                model.gradient_checkpointing_enable({"use_reentrant": False})
        except ValueError as error:
            raise TweetgenError(
                f"{model.config.model_type} models have none: leave out --gradient_checkpointing."
            ) from error
    return learner
