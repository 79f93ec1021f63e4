"""What a training tells whoever runs it: one report for each step and for each validation."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class StepReport:
    """One optimiser step. `loss` is the mean over its `tokens` real targets, in nats."""

    step: int  # from 1
    epoch: int  # from 1
    loss: float
    learning_rate: float
    tokens: int  # real ones, over all ranks
    seconds: float  # since training began, earlier runs included


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationReport:
    """The model after `step` steps; the numbers are None where no tweets are held out."""

    step: int
    epoch: float  # 0 before training, 1.5 in the middle of the second
    training_loss: float | None  # mean since the last report of this kind, nats a token
    loss: float | None  # nats a token, EOS included
    bits_per_character: float | None = None  # EOS included
    eos_bits_per_character: float | None = None  # the part of it that EOS costs
    is_best: bool
    seconds: float


Report = StepReport | ValidationReport
