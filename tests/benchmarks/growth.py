"""Measure how time and memory grow with the tweets: of a dump, of a step of training, asked for.

    python -m tests.benchmarks.growth --data FOLDER [--model_path models/fine_tuned_model.pt]
        [--quick]

FOLDER holds what bench_preprocess and bench_training read; without a model, a fine-tuned
models/base, generation is left out. Writes results/growth.json and draws results/growth.png.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import bench_generation, bench_preprocess, bench_training, harness

# What the first column of each part counts, and what the time is of
PARTS = {
    "preprocessing": ("tweets", "the whole command"),
    "fine-tuning": ("tweets_per_step", "one step"),
    "generation": ("tweets", "drawing, without loading"),
}


class Style(NamedTuple):
    """How a line is drawn; both have five decades, so that memory lies above time."""

    label: str
    limits: tuple[float, float]
    line: str
    color: str
    offset: int  # of the values' texts, in points


SECONDS = Style("seconds", (0.01, 1000), "o-", "tab:blue", -15)
MEGABYTES = Style("peak memory in MB", (0.1, 10_000), "s--", "tab:orange", 7)


def measure(data, model_path, repeats):
    """Rows of each part, by its name."""
    with tempfile.TemporaryDirectory() as place:
        tokens = bench_training.write_tokens(Path(place, "tokens.pkl"), data)
        fine_tuning = bench_training.growth(tokens, repeats)
    results = {
        "preprocessing": bench_preprocess.growth(data, repeats),
        "fine-tuning": fine_tuning,
    }
    if model_path.is_file():
        results["generation"] = bench_generation.many_tweets(model_path.resolve(), repeats)
    return results


def print_part(name, rows):
    """Show the medians of a part."""
    heading = [name, *list(rows[0])[1:]]
    values = [
        [cell["median"] if isinstance(cell, dict) else cell for cell in row.values()]
        for row in rows
    ]
    harness.print_table([heading, *values])


def draw(results, path):
    """A picture of all parts, with logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8 * len(results), 4.5), layout="constrained")
    for panel, (name, rows) in zip(figure.subplots(1, len(results)), results.items(), strict=True):
        counted, timed = PARTS[name]
        numbers = [row[counted] for row in rows]
        seconds = [row["seconds"]["median"] for row in rows]
        megabytes = [row["peak_megabytes"] for row in rows]
        draw_line(panel, numbers, seconds, SECONDS)
        draw_line(panel.twinx(), numbers, megabytes, MEGABYTES)
        panel.set_title(f"{name}: {timed}")
        panel.set_xlabel(counted.replace("_", " "))
        panel.set_xlim(min(numbers) / 2, max(numbers) * 2)
        panel.set_xticks(numbers, [f"{number:,}" for number in numbers])
        panel.minorticks_off()
    figure.savefig(path, dpi=120)


def draw_line(axes, numbers, values, style):
    """Draw values by numbers, with the value at every point."""
    axes.loglog(numbers, values, style.line, color=style.color)
    axes.set_ylabel(style.label, color=style.color)
    axes.set_ylim(*style.limits)
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.minorticks_off()
    for place in zip(numbers, values, strict=True):
        text = f"{place[1]:,.0f}" if place[1] >= 10 else f"{place[1]:.2g}"
        offset = {"xytext": (0, style.offset), "textcoords": "offset points"}
        axes.annotate(text, place, **offset, color=style.color, ha="center")


def main():
    flags = harness.parser((__doc__ or "").split("\n")[0])
    flags.add_argument("--model_path", type=Path, default=Path("models/fine_tuned_model.pt"))
    arguments = flags.parse_args()
    results = measure(arguments.data, arguments.model_path, 1 if arguments.quick else 3)
    for name, rows in results.items():
        print_part(name, rows)
    command = "python -m tests.benchmarks.growth" + " --quick" * arguments.quick
    harness.save("growth", harness.document(command, results))
    draw(results, harness.RESULTS / "growth.png")


if __name__ == "__main__":
    main()
