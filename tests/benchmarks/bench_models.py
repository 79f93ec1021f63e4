"""Measure what a larger pre-trained model buys: the three commands with one model, on three voices.

    python -m tests.benchmarks.bench_models --data FOLDER --model smollm2 [--minutes 10 30]
        [--name NAME] [--files FILE ...] [--result models] [--quick] [-- --lora_rank 0]

Adds the model to results/RESULT.json: bits per character of the held-out tweets before training and
after so many minutes, tokens and tweets a second, memory, and the first ten tweets drawn in the
voice of the project's own sample.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks import harness

SAMPLE = harness.PROJECT / "data" / "tweets.csv"
FILES = (SAMPLE, "data/neiltyson_tweets.csv", "data/election-tweets-2016.tab")
NUM_TWEETS = 100
NUM_SHOWN = 10


def fine_tune(tokens, output, arguments):
    """Train; how good the model is after so many minutes, speed and memory."""
    from tweetgen import storage

    script = Path(__file__).with_name("timed_training.py")
    line = [sys.executable, script, tokens, output, arguments.model, *arguments.minutes]
    run = harness.run([*line, *arguments.flags])
    return json.loads(run.output.splitlines()[-1]) | {
        "model_file_megabytes": round(output.stat().st_size / 1e6),
        "ended": storage.load_model(output)["training"]["evaluation"]["model"]["ended"],
    }


def generate(model, num_shown):
    """Tweets a second, loading included, and the first tweets."""
    line = [sys.executable, "generate.py", "--model_path", model, "--num_tweets", NUM_TWEETS]
    start = time.perf_counter()
    output = harness.run(line).output
    seconds = time.perf_counter() - start
    return {
        "tweets_per_second": round(NUM_TWEETS / seconds, 2),
        "tweets": output.splitlines()[:num_shown],
    }


def main():
    flags = harness.parser((__doc__ or "").split("\n")[0])
    flags.add_argument("--model", default="models/base")
    flags.add_argument("--name", default="", help="of the entry (default: the model's)")
    flags.add_argument("--minutes", nargs="+", type=float, default=[10])
    flags.add_argument("--files", nargs="+", default=FILES)
    flags.add_argument("--result", default="models", help="name of the result file")
    flags.add_argument("flags", nargs="*", help="more flags for fine_tune.py, after --")
    arguments = flags.parse_args()
    if arguments.quick:
        arguments.minutes = [0.5]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.files:
            stem = Path(folder, Path(name).stem)
            tokens, model = stem.with_suffix(".pkl"), stem.with_suffix(".pt")
            line = [sys.executable, "preprocess.py", "--data_path", arguments.data / name]
            harness.run([*line, "--model", arguments.model, "--output_path", tokens])
            training = fine_tune(tokens, model, arguments)
            num_shown = NUM_SHOWN if arguments.data / name == SAMPLE else 0
            found[stem.name] = training | generate(model, num_shown)
    path = harness.RESULTS / f"{arguments.result}.json"
    earlier = json.loads(path.read_text("utf-8"))["results"] if path.is_file() else {}
    name = arguments.name or Path(arguments.model).name
    found = earlier.get(name, {}) | found
    minutes = " ".join(f"{number:g}" for number in arguments.minutes)
    command = f"python -m tests.benchmarks.bench_models --model {arguments.model}"
    command += " ".join([f" --minutes {minutes}", *arguments.flags])
    harness.save(arguments.result, harness.document(command, earlier | {name: found}))


if __name__ == "__main__":
    main()
