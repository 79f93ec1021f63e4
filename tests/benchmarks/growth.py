"""Draw how time and memory grow: with the tweets of a dump, of a training step, and asked for.

    python -m tests.benchmarks.growth [--data FOLDER] [--repeats 2] [--quick]

The steps of training are measured here, with models/base, and written to results/growth.json; for
results/growth.png the rest comes from the result files of bench_preprocess and bench_generation.
"""

import sys
from functools import partial

from tests.benchmarks import harness
from tests.benchmarks.bench_training import VOICE, train
from tests.benchmarks.model_folders import BASE, write_folder

BATCHES = (4, 16, 64)
NUM_TRAINED = 1280  # tweets, at every batch size
# What the first column of each part counts, and what the time is of
PARTS = {
    "preprocessing": ("tweets", "the whole command"),
    "fine-tuning": ("tweets a step", "one step"),
    "generation": ("tweets", "the whole command"),
}


def fine_tuning(session):
    """Seconds a step and memory by tweets a step."""
    with harness.folder() as place:
        folder = write_folder(BASE, place / BASE)
        tokens = harness.preprocess(session.arguments.data, VOICE, folder, place / "tokens.pkl")
        ours = partial(train, "tweetgen", sys.executable, folder, tokens)
        subjects = {size: partial(ours, NUM_TRAINED // size, "--batch", size) for size in BATCHES}
        runs = session.alternate(subjects, session.arguments.repeats)
    return [
        {
            "number": size,
            "seconds": harness.summary([run["seconds_per_step"] for run in found]),
            "peak_megabytes": round(max(run["peak_bytes"] for run in found) / 1e6),
        }
        for size, found in runs.items()
    ]


def all_parts():
    """The rows of each part that has a result file, by the names of PARTS."""
    sizes = sorted(harness.load("preprocess").items(), key=lambda item: int(item[0]))
    parts = {
        "preprocessing": [
            {
                "number": int(number),
                "seconds": found["seconds"]["tweetgen"],
                "peak_megabytes": found["peak_megabytes"],
            }
            for number, found in sizes
        ],
        "fine-tuning": harness.load("growth").get("fine-tuning"),
        "generation": harness.load("generation").get(BASE, {}).get("many"),
    }
    return {name: rows for name, rows in parts.items() if rows}


def draw(parts, path):
    """A picture of all parts, with logarithmic axes: seconds solid, megabytes dashed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8 * len(parts), 4.2), layout="constrained")
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    for panel, (name, rows) in zip(panels, parts.items(), strict=True):
        counted, timed = PARTS[name]
        numbers = [row["number"] for row in rows]
        seconds = [row["seconds"]["median"] for row in rows]
        memory = panel.twinx()
        panel.loglog(numbers, seconds, "o-", color="tab:blue")
        memory.loglog(numbers, [row["peak_megabytes"] for row in rows], "s--", color="tab:orange")
        panel.set_ylabel("seconds", color="tab:blue")
        memory.set_ylabel("peak memory in MB", color="tab:orange")
        panel.set_ylim(0.01, 1000)
        memory.set_ylim(10, 100_000)
        panel.set_title(f"{name}: {timed}")
        panel.set_xlabel(counted)
        panel.set_xticks(numbers, [f"{number:,}" for number in numbers])
        panel.minorticks_off()
    figure.savefig(path, dpi=110)


def flags():
    """The flags of this script."""
    found = harness.parser("growth", __doc__)
    found.add_argument("--repeats", type=int, default=2)
    return found


def main(argv=None):
    session = harness.Session(flags().parse_args(argv), argv)
    session.save("growth", {"fine-tuning": fine_tuning(session)})
    if session.writes:
        draw(all_parts(), harness.RESULTS / "growth.png")


if __name__ == "__main__":
    main()
