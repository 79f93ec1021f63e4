"""The loss curve of a training, a PNG file."""

from pathlib import Path
from typing import Any

from tweetgen.files import atomic_write

SMOOTHING_STEPS = 20  # a step's loss is of one batch: the mean of this many shows the trend


def draw(path: Path, training: dict[str, Any]) -> None:
    """Write a PNG of training and validation loss by step, the best validation marked.

    Raises:
        TweetgenError: the file cannot be written.
    """
    # Figure without pyplot: no window system and no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    losses = training["losses"]
    smooth = smoothed(losses, SMOOTHING_STEPS)
    axes.plot(range(1, len(losses) + 1), losses, color="0.85", linewidth=0.8)
    axes.plot(range(1, len(losses) + 1), smooth, color="tab:blue", label="training")
    validated = [entry for entry in training["history"] if entry["loss"] is not None]
    if validated:
        steps = [entry["step"] for entry in validated]
        values = [entry["loss"] for entry in validated]
        best = min(range(len(values)), key=values.__getitem__)
        axes.plot(steps, values, "o-", color="tab:orange", markersize=4, label="validation")
        label = f"best: {values[best]:.3f} at step {steps[best]:,}"
        axes.plot(steps[best], values[best], "*", color="tab:red", markersize=14, label=label)
    axes.set(xlabel="step", ylabel="loss (nats per token)", title=training["model_name"])
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_write(path) as file:
        figure.savefig(file, format="png")


def smoothed(values: list[float], width: int) -> list[float]:
    """The mean of each value and up to `width - 1` values before it.

    >>> smoothed([2.0, 4.0, 9.0], 2)
    [2.0, 3.0, 6.5]
    """
    means, window_sum = [], 0.0
    for position, value in enumerate(values):
        window_sum += value - (values[position - width] if position >= width else 0.0)
        means.append(window_sum / min(position + 1, width))
    return means
