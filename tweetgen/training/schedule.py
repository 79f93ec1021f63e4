"""How fast to learn, how long, and how often to look: numbers from the size of model and data."""

import math

from tweetgen.settings import TrainingSettings

STEPS_BETWEEN_VALIDATIONS = 500
LARGE_MODEL = 50e6  # parameters
LORA_RANK, LORA_FACTOR = 16, 12.0
USUAL_EPOCHS = "2 or 3 epochs"  # to the best of three voices of 40,000 to 130,000 tokens
FEW_TWEETS = 1000  # below, others report models that repeat their data word for word


def learning_rate(fraction: float, peak: float, settings: TrainingSettings) -> float:
    """The learning rate when this fraction of the training is done, 0 < fraction < 1.

    Linear warm-up, then the peak to the end, or a cosine or a line down to 0. The average of the
    weights does what a falling rate is for, and does it at any time: after 330 steps on one voice
    the average had 1.451 bits per character with a constant rate and 1.473 with a cosine, whose
    last weights had 1.469.
    """
    if fraction < settings.warmup_fraction:
        return peak * fraction / settings.warmup_fraction
    if settings.schedule == "constant":
        return peak
    left = (1 - fraction) / (1 - settings.warmup_fraction) if settings.warmup_fraction < 1 else 0.0
    if settings.schedule == "linear":
        return peak * left
    return peak * (1 - math.cos(math.pi * left)) / 2


def default_lora_rank(num_parameters: int) -> int:
    """The rank of the adapters for a model of this size; 0: train its weights themselves."""
    return LORA_RANK if num_parameters >= LARGE_MODEL else 0


def default_learning_rate(num_parameters: int, is_lora: bool = False) -> float:
    """The peak learning rate for a model of this size, at 16 tweets a step.

    A power law through the best of two sweeps. Of 2e-4, 4e-4, 8e-4 and 1.6e-3 for models/base, 500
    steps on two voices, 4e-4 and 8e-4 differed by less than 0.01 bits per character (with a cosine,
    and of the last weights: tests/benchmarks/results/learning_rate.json). Of 1.4e-4, 2.8e-4, 5.6e-4
    and 1.1e-3 for SmolLM2-135M, 50 steps on one of them, the first two gave 1.467 and 1.460, the
    others 1.496 and 1.709, and a parabola is lowest at 2.2e-4 (learning_rate_smollm2.json).

    Adapters want twelve times as much: of 8e-4, 1.5e-3 and 2.5e-3 for those of SmolLM2-135M, 40
    steps on the same voice, the last gave 1.42, the others 1.44 and 1.48.
    """
    rate: float = 5.7e-4 * (7.4e6 / num_parameters) ** 0.36
    return LORA_FACTOR * rate if is_lora else rate


def validation_steps(num_training: int, num_validation: int, steps_per_epoch: int) -> list[int]:
    """The steps within an epoch after which to validate, the last one always among them.

    Evenly spaced, at most 500 steps apart, but only as often as the validation tweets stay under a
    quarter of the tweets trained on in between: validating costs about a third of training.
    """
    wanted = math.ceil(steps_per_epoch / STEPS_BETWEEN_VALIDATIONS)
    affordable = num_training // (4 * num_validation) if num_validation else 1
    parts = max(1, min(wanted, affordable))
    return [steps_per_epoch * part // parts for part in range(1, parts + 1)]


def advice(num_training: int, num_tokens: int, num_validation: int) -> str:
    """What to expect of so much data, in a line or two."""
    lines = [f"{num_training:,} tweets ({num_tokens:,} tokens) to learn from"]
    lines[0] += f", {num_validation:,} held out: {USUAL_EPOCHS} are usual" if num_validation else ""
    if not num_validation:
        lines.append("no tweets are held out: nothing will say when the model stops getting better")
    if num_training < FEW_TWEETS:
        lines.append(f"under {FEW_TWEETS:,} tweets expect copying: more drafts will be drawn again")
    return "\n".join(lines)
