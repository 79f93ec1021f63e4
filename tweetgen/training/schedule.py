"""How fast to learn, how long, and how often to validate, from the size of model and data."""

import math

from tweetgen.settings import LARGE_MODEL, TrainingSettings

VALIDATIONS_PER_EPOCH = 4
STEPS_BETWEEN_VALIDATIONS = (10, 500)  # fewest and most
LORA_RANK, LORA_FACTOR = 16, 9.0


def learning_rate(step: int, progress: float, peak: float, settings: TrainingSettings) -> float:
    """The learning rate of a step, counted from 0, in whose middle `progress` (0-1) is done.

    Linear warm-up, then the peak to the end, or times a cosine or a line down to 0. The average of
    the weights does what a falling rate is for, and does it at any time: after 330 steps on one
    voice the average had 1.451 bits per character with a constant rate and 1.473 with a cosine,
    whose last weights had 1.469.
    """
    rate = peak * min(1.0, (step + 0.5) / settings.warmup_steps) if settings.warmup_steps else peak
    if settings.schedule == "linear":
        return rate * (1 - progress)
    if settings.schedule == "cosine":
        return rate * (1 + math.cos(math.pi * progress)) / 2
    return rate


def default_lora_rank(num_parameters: int) -> int:
    """The rank of the adapters for a model of this size; 0: train its weights themselves."""
    return LORA_RANK if num_parameters >= LARGE_MODEL else 0


def default_learning_rate(num_parameters: int, is_lora: bool = False) -> float:
    """The peak learning rate for a model of this size, at 16 tweets a step.

    A power law through the best of two sweeps. Of 2e-4, 4e-4, 8e-4 and 1.6e-3 for models/base, 500
    steps on two voices, 4e-4 and 8e-4 differed by less than 0.01 bits per character (with a cosine,
    and of the last weights). Of 1.4e-4, 2.8e-4, 5.6e-4 and 1.1e-3 for SmolLM2-135M, 50 steps on one
    of them, the first two gave 1.467 and 1.460, the others 1.496 and 1.709, and a parabola is
    lowest at 2.2e-4. tests/benchmarks/sweep_learning_rate.py measures such sweeps.

    Adapters want nine times as much. Of 6e-4, 1.2e-3, 2.4e-3 and 4.8e-3 for those of SmolLM2-135M,
    155 steps on the sample gave 1.301, 1.282, 1.280 and 1.314, and 88 on a voice of twice as many
    tweets 1.480, 1.453, 1.442 and 1.488: parabolas are lowest at 1.8e-3 and 2.0e-3. After 155 steps
    there 2.4e-3 had jumped to 1.475, and 1.2e-3 was at 1.406.
    """
    rate: float = 5.7e-4 * (7.4e6 / num_parameters) ** 0.36
    return LORA_FACTOR * rate if is_lora else rate


def validation_steps(num_training: int, num_validation: int, steps_per_epoch: int) -> list[int]:
    """The steps within an epoch after which to validate, the last one always among them.

    Evenly spaced: four times an epoch where that leaves 10 steps in between and at least every 500
    steps, but only as often as the validation tweets stay under a quarter of the tweets trained on
    in between: validating a tweet costs about a third of training on it.
    """
    fewest, most = STEPS_BETWEEN_VALIDATIONS
    wanted = min(VALIDATIONS_PER_EPOCH, steps_per_epoch // fewest)
    wanted = max(wanted, math.ceil(steps_per_epoch / most))
    affordable = num_training // (4 * num_validation) if num_validation else 1
    parts = max(1, min(wanted, affordable))
    return [steps_per_epoch * part // parts for part in range(1, parts + 1)]
