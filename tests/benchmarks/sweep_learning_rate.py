"""Measure which learning rate a model wants: where the default comes from.

    python -m tests.benchmarks.sweep_learning_rate --data FOLDER [--model models/base]
        [--rates 1e-4 3e-4] [--voices neiltyson_tweets.csv ...] [--max_steps 150] [--quick]
        [-- more flags of fine_tune.py]

Trains with the project's own command; two trainings run side by side, one thread each, which is how
two cores do the most. Writes results/learning_rate.json.
"""

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks import harness

VOICES = ("neiltyson_tweets.csv", "election-tweets-2016.tab")
RATES = (1e-4, 2e-4, 4e-4, 8e-4)


def measure(arguments, place):
    """Bits per character after each validation, by voice and rate."""
    cases = []
    for voice in arguments.voices:
        tokens = place / f"{Path(voice).stem}.pkl"
        harness.preprocess(arguments.data, voice, arguments.model, tokens)
        cases += itertools.product([voice], [tokens], arguments.rates)

    def train(number):
        from tweetgen import storage

        _, tokens, rate = cases[number]
        output = place / f"{number}.pt"
        line = [sys.executable, "fine_tune.py", "--data", tokens, "--output_path", output]
        line += ["--learning_rate", rate, "--patience", 0, "--max_steps", arguments.max_steps]
        harness.run([*line, *arguments.flags], OMP_NUM_THREADS="1")
        return storage.load_model(output)["training"]["history"]

    with ThreadPoolExecutor(2) as pool:
        histories = list(pool.map(train, range(len(cases))))
    results = {}
    for (voice, _, rate), history in zip(cases, histories, strict=True):
        bits = {str(entry["step"]): round(entry["bits_per_character"], 4) for entry in history}
        results.setdefault(voice, {})[f"{rate:g}"] = bits
    return results


def flags():
    """The flags of this script."""
    found = harness.parser("sweep_learning_rate", __doc__)
    found.add_argument("--model", default=harness.BASE)
    found.add_argument("--rates", nargs="+", type=float, default=RATES)
    found.add_argument("--voices", nargs="+", default=VOICES)
    found.add_argument("--max_steps", type=int, default=500)
    found.add_argument("flags", nargs="*", help="more flags for fine_tune.py, after --")
    return found


def main(argv=None):
    session = harness.Session(flags().parse_args(argv), argv)
    arguments = session.arguments
    if arguments.quick:
        arguments.rates, arguments.voices, arguments.max_steps = RATES[:1], VOICES[:1], 2
    name = " ".join([Path(arguments.model).name, *arguments.flags])
    with harness.folder() as place:
        session.save("learning_rate", {name: measure(arguments, place)})


if __name__ == "__main__":
    main()
