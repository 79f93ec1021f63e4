"""The loss curve of a training, a PNG file."""

from pathlib import Path
from statistics import fmean
from typing import Any

from tweetgen.files import atomic_write

SMOOTHING_STEPS = 20  # a step's loss is of one batch: the mean of this many shows the trend


def draw(path: Path, training: dict[str, Any]) -> None:
    """Write a PNG of training and validation loss by step, the best validation marked.

    Raises:
        TweetgenError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    losses = training["losses"]
    steps = range(1, len(losses) + 1)
    trend = [fmean(losses[max(0, step - SMOOTHING_STEPS) : step]) for step in steps]
    axes.plot(steps, losses, color="0.85", linewidth=0.8)
    axes.plot(steps, trend, color="tab:blue", label="training")
    history = training["history"]
    places = [(entry["step"], entry["loss"]) for entry in history if entry["loss"] is not None]
    if places:
        axes.plot(*zip(*places, strict=True), "o-", color="tab:orange", ms=4, label="validation")
        step, loss = min(places, key=lambda place: place[1])
        label = f"best: {loss:.3f} at step {step:,}"
        axes.plot(step, loss, "*", color="tab:red", ms=14, label=label)
    axes.set(xlabel="step", ylabel="loss (nats per token)", title=training["model_name"])
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
