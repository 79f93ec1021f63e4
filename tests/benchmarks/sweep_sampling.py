"""Measure what temperature and top-p, top-k or min-p do to drafts: where the defaults come from.

    python -m tests.benchmarks.sweep_sampling MODEL.pt TOKENS.pkl [MODEL.pt TOKENS.pkl ...]
        [--temperatures 0.9 1.0 ...] [--cuts top_p=0.9 top_p=0.95,top_k=50 ...]
        [--num_drafts 200] [--seed 0] [--budget MINUTES] [--quick]

For each setting: how well drafts are told from held-out tweets, by a classifier of words and
letters (surface), of what the untouched model thinks of them (sense) and by both; how fluent they
are, copies, and the usable share. Settings are tried in the order given, with all models in turn,
until the budget ends. bench_models --keep FOLDER leaves such files. Writes results/sampling.json
and results/sampling.png.
"""

import itertools
from functools import partial
from pathlib import Path

from tests.benchmarks import harness

# The middle first: where a budget ends early, the ends are missing.
TEMPERATURES = (0.9, 1.0, 0.8, 1.1, 0.7)
CUTS = (
    *("top_p=0.95", "top_p=0.9", "top_p=1", "min_p=0.05", "min_p=0.02", "min_p=0.1"),
    *("top_k=50", "top_p=0.98"),
)
SHOWN = ("temperature", "cut", "both", "both_spread", "surface", "sense", "fluency", "copies")
SHOWN += ("usable",)


def settings_of(temperature, cut, seed):
    """Sampling settings, with nothing cut but what is named: "top_p=0.95,top_k=50"."""
    from tweetgen.settings import SamplingSettings

    values = dict(pair.split("=") for pair in cut.split(","))
    kinds = {"top_p": float, "top_k": int, "min_p": float}
    named = {name: kinds[name](value) for name, value in values.items()}
    return SamplingSettings(
        temperature=temperature, seed=seed, **({"top_p": 1.0, "top_k": 0, "min_p": 0.0} | named)
    )


def sweep(session, scorers):
    """The lines of all models, by their names, until the time is up."""
    arguments = session.arguments
    results = {name: {"human": scorer.people(), "drafts": {}} for name, scorer in scorers.items()}
    settings = itertools.product(arguments.cuts, arguments.temperatures)
    for (cut, temperature), (name, scorer) in itertools.product(settings, scorers.items()):
        if session.minutes_left() <= 0:
            break
        line = {"temperature": temperature, "cut": cut}
        line |= scorer.drafts(settings_of(temperature, cut, arguments.seed))
        del line["first"]
        results[name]["drafts"][f"{temperature} {cut}"] = (
            line  # by name: a later sweep adds to them
        )
        harness.tell("  ".join([name, *(f"{key} {line[key]}" for key in SHOWN if key in line)]))
    return results


def draw(results, path):
    """A panel for each model: the score by the fluency of each setting, its temperature beside."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(results), 4.2), layout="constrained")
    panels = figure.subplots(1, len(results), squeeze=False)[0]
    cuts = dict.fromkeys(
        line["cut"] for found in results.values() for line in found["drafts"].values()
    )
    colors = {cut: f"C{number}" for number, cut in enumerate(cuts)}
    for panel, (name, found) in zip(panels, results.items(), strict=True):
        lines = sorted(found["drafts"].values(), key=lambda line: line["temperature"])
        for cut, color in colors.items():
            own = [line for line in lines if line["cut"] == cut]
            fluency = [100 * line["fluency"] for line in own]
            panel.plot(fluency, [line["both"] for line in own], "o-", color=color, label=cut)
            for place, line in zip(fluency, own, strict=True):
                panel.annotate(f"{line['temperature']:g}", (place, line["both"]), fontsize=7)
        floor = [line["floor"] for line in lines]
        panel.axhline(sum(floor) / max(1, len(floor)), color="grey", linestyle=":")
        panel.axvline(0, color="grey", linestyle=":")
        panel.set_title(name)
        panel.set_xlabel("bits per character of drafts, % above held-out tweets")
        panel.set_ylabel("told apart (0.5: not at all)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right", fontsize=8)
    figure.savefig(path, dpi=110)


def flags():
    """The flags of this script."""
    found = harness.parser("sweep_sampling", __doc__)
    found.add_argument("files", nargs="+", help="a model file and its token file, any number")
    found.add_argument("--temperatures", nargs="+", type=float, default=TEMPERATURES)
    found.add_argument("--cuts", nargs="+", default=CUTS)
    found.add_argument("--num_drafts", type=int, default=200)
    found.add_argument("--judge", default="", help="model (default: the one of the token file)")
    found.add_argument("--seed", type=int, default=0)
    return found


def main(argv=None):
    session = harness.Session(flags().parse_args(argv), argv)
    arguments = session.arguments
    from tests.benchmarks.scoring import Scorer

    if arguments.quick:
        arguments.temperatures, arguments.cuts = arguments.temperatures[:2], arguments.cuts[:1]
    pairs = zip(arguments.files[::2], arguments.files[1::2], strict=True)
    make = partial(Scorer, num_drafts=arguments.num_drafts, judge=arguments.judge)
    scorers = {Path(model).stem: make(model, tokens) for model, tokens in pairs}
    results = sweep(session, scorers)
    session.save("sampling", results)
    if session.writes:
        draw(harness.load("sampling"), harness.RESULTS / "sampling.png")


if __name__ == "__main__":
    main()
