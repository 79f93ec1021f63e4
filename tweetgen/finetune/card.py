"""What a training leaves for people: the model's card (Markdown) and its loss curve (PNG)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tweetgen.console import printable
from tweetgen.files import atomic_write

SMOOTHING_STEPS = 20  # a step's loss is of one batch: the mean of this many shows the trend

CARD = """\
# {name}

{model_name}, fine-tuned with tweetgen on {train_tweets:,} tweets. Draw tweets with
`python generate.py --model_path {path}`.

## Data

{data}

## Training

{settings}

{progress}

![Loss by step]({curve})

## What it writes

Drawn with the default settings, not selected:

{samples}

Its first drafts, none of them drawn again, beside tweets of the data:

```
{evaluation}
```

## Use and limits

Meant for playing with a voice. The tweets are invented: they can be wrong, rude or unfair as the
tweets they were learned from, and must not be passed off as the words of the person who wrote
those. Drafts that repeat a training tweet are drawn again by default; the model file holds hashes
of the training tweets, not their text, but the weights remember more than the hashes show.
"""


def card(training: dict[str, Any], model_path: Path, curve_path: Path, evaluation: str) -> str:
    """The card of a model file, as Markdown.

    `training` is that part of the model file, `evaluation` the table of its first drafts.
    """
    return CARD.format(
        name=model_path.stem,
        path=model_path,
        curve=curve_path.name,
        model_name=training["model_name"],
        train_tweets=training["num_train_tweets"],
        data=_data_lines(training),
        settings=_table([("setting", "value"), *_setting_rows(training)]),
        progress=_progress_table(training),
        samples="\n".join(f"- {_inline(sample)}" for sample in training["samples"]),
        evaluation=evaluation,
    )


def draw_curve(path: Path, training: dict[str, Any]) -> None:
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


def _data_lines(training: dict[str, Any]) -> str:
    counts = training["counts"]
    dropped = [(rule, count) for rule, count in counts["dropped"].items() if count]
    lines = [
        f"{counts['read']:,} tweets read, {counts['kept']:,} kept: "
        f"{training['num_train_tweets']:,} for training "
        f"({training['num_train_tokens']:,} tokens), "
        f"{training['num_validation_tweets']:,} for validation.",
    ]
    if dropped:
        lines.append(
            "Dropped: " + ", ".join(f"{count:,} {rule}" for rule, count in sorted(dropped)) + "."
        )
    cleaning = ", ".join(f"{name} {value}" for name, value in training["cleaning"].items() if value)
    lines.append(f"Cleaning: {cleaning}.")
    return "\n\n".join(lines)


def _setting_rows(training: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("parameters", f"{training['num_parameters']:,}"), ("loss", "cross-entropy")]
    rows += [(name.replace("_", " "), str(value)) for name, value in training["settings"].items()]
    return [*rows, ("time", f"{training['seconds'] / 60:.1f} minutes")]


def _progress_table(training: dict[str, Any]) -> str:
    header = ("step", "epoch", "training loss", "validation loss", "perplexity", "bits/character")
    rows = [header]
    for entry in training["history"]:
        loss, bits = entry["loss"], entry["bits_per_character"]
        rows.append(
            (
                f"{entry['step']:,}",
                f"{entry['epoch']:g}",
                _figure(entry["training_loss"]),
                _figure(loss),
                "-" if loss is None else f"{perplexity(loss):,.1f}",
                _figure(bits),
            )
        )
    return _table(rows)


def perplexity(loss: float) -> float:
    """exp(loss): how many equally likely tokens the model hesitates between, at `loss` nats."""
    return math.exp(min(loss, 700.0))  # exp(710) overflows a float


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)


def _inline(text: str) -> str:
    """A tweet as Markdown text on one line, nothing in it taken for markup."""
    for sign in "\\`*_[]<>#|":
        text = text.replace(sign, "\\" + sign)
    return printable(text)
