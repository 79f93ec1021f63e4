"""Measure which learning rate a model wants: where the default comes from.

    python -m tests.benchmarks.sweep_learning_rate --data FOLDER [--model NAME] [--rates 1e-4 3e-4]

Trains on two real files with the project's own commands and default schedule; two trainings
run side by side, one thread each, which is how two cores do the most. Writes
results/learning_rate.json, or results/learning_rate_NAME.json for a model other than models/base.
"""

import itertools
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks import harness
from tweetgen import storage

FILES = ("data/neiltyson_tweets.csv", "data/election-tweets-2016.tab")
RATES = (1e-4, 2e-4, 4e-4, 8e-4)


def train(data, output, rate, model, limits):
    """Bits per character before training and after each validation."""
    line = [sys.executable, "fine_tune.py", "--data", data, "--output_path", output]
    line += ["--learning_rate", rate, "--model", model, "--patience", 0, *limits]
    harness.run(line, OMP_NUM_THREADS="1")
    training = storage.load_model(output)["training"]
    return {
        "steps": [entry["step"] for entry in training["history"]],
        "bits_per_character": [
            round(entry["bits_per_character"], 4) for entry in training["history"]
        ],
    }


def measure(data, files, model, rates, limits):
    """A line for each file and rate."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        cases = []
        for path in files:
            tokens = Path(folder, Path(path).stem + ".pkl")
            line = [sys.executable, "preprocess.py", "--data_path", data / path, "--model", model]
            harness.run([*line, "--output_path", tokens])
            cases += itertools.product([tokens], rates)

        def run(number):
            tokens, rate = cases[number]
            output = Path(folder, f"{number}.pt")
            found = train(tokens, output, rate, model, limits)
            return {"file": tokens.stem, "learning_rate": rate} | found

        return list(pool.map(run, range(len(cases))))


def main():
    flags = harness.parser((__doc__ or "").split("\n")[0])
    flags.add_argument("--model", default="models/base")
    flags.add_argument("--rates", nargs="+", type=float, default=RATES)
    flags.add_argument("--files", nargs="+", default=FILES)
    flags.add_argument("--epochs", type=int, default=3)
    flags.add_argument("--max_steps", type=int, default=0)
    arguments = flags.parse_args()
    max_steps = 20 if arguments.quick else arguments.max_steps
    limits = ["--epochs", arguments.epochs, "--max_steps", max_steps]
    results = measure(arguments.data, arguments.files, arguments.model, arguments.rates, limits)
    rows = [("file", "learning rate", "before", "best")]
    for row in results:
        bits = row["bits_per_character"]
        rows.append((row["file"], row["learning_rate"], bits[0], min(bits)))
    harness.print_table(rows)
    command = f"python -m tests.benchmarks.sweep_learning_rate --model {arguments.model}"
    command += f" --epochs {arguments.epochs} --max_steps {max_steps} --rates "
    command += " ".join(map(str, arguments.rates))
    name = "" if arguments.model == "models/base" else f"_{Path(arguments.model).stem}"
    harness.save(f"learning_rate{name}", harness.document(command, results))


if __name__ == "__main__":
    main()
