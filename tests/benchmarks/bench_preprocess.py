"""Measure preprocess.py: the whole command on 737,000 raw tweets, beside what people use instead.

    python -m tests.benchmarks.bench_preprocess --data FOLDER --peers VENV/bin/python [--quick]

FOLDER holds corpus/base_tweets.jsonl.gz, JSON lines with "text". Every run is a command of its own,
start-up included; of the peers' commands only the time from reading to ids counts, on 50,000 tweets
drawn at random. Writes results/preprocess.json.
"""

import gzip
import json
import random
import sys
import tempfile
from functools import partial
from itertools import islice
from pathlib import Path

from tests.benchmarks import harness
from tweetgen.cleaning import clean

CORPUS = Path("corpus") / "base_tweets.jsonl.gz"
NUM_SAMPLE = 50_000
SIZES = (1_000, 10_000, 100_000)


def preprocess(path, folder, *flags, watched=False):
    """One run of the command."""
    output = Path(folder) / "out.pkl"
    line = [sys.executable, "preprocess.py", "--data_path", path, "--output_path", output, *flags]
    return harness.run(line, watched=watched)


def peer(name, path, python):
    """Seconds that a peer takes from reading to ids."""
    script = Path(__file__).parent / "peers_preprocess.py"
    line = [python, script, name, path, harness.PROJECT / "models" / "base"]
    return json.loads(harness.run(line).output.splitlines()[-1])["seconds"]


def write_sample(path, lines, num_tweets):
    """A random part of the corpus, in its order."""
    chosen = set(random.Random(0).sample(range(len(lines)), num_tweets))
    path.write_text("".join(line for i, line in enumerate(lines) if i in chosen), encoding="utf-8")


def cleaning_speed(lines):
    """Tweets a second that `clean` does in this process."""
    import time

    texts = [json.loads(line)["text"] for line in islice(lines, 100_000)]
    start = time.process_time()
    for text in texts:
        clean(text)
    return len(texts) / (time.process_time() - start)


def measure(corpus, lines, folder, peers, repeats):
    """All figures, by name."""
    sample = Path(folder) / "sample.jsonl"
    write_sample(sample, lines, NUM_SAMPLE)
    subjects = {
        "tweetgen": lambda: preprocess(corpus, folder).seconds,
        "tweetgen, one process": lambda: preprocess(corpus, folder, "--workers", 1).seconds,
        "tweetgen, sample": lambda: preprocess(sample, folder).seconds,
    }
    if peers:
        subjects |= {name: partial(peer, name, sample, peers) for name in ("chain", "datasets")}
    seconds = harness.alternate(subjects, repeats, warm_up=False)
    sizes = dict.fromkeys(subjects, NUM_SAMPLE) | dict.fromkeys(list(subjects)[:2], len(lines))
    speed = {name: [sizes[name] / value for value in seconds[name]] for name in subjects}
    return {
        "tweets": len(lines),
        "sample": NUM_SAMPLE,
        "tweets_per_second": {name: harness.summary(values) for name, values in speed.items()},
        "times_faster_than": {
            name: harness.ratio(speed["tweetgen"], speed[name])
            for name in ("chain", "datasets")
            if name in speed
        },
        "cleaning_tweets_per_second": harness.summary(
            [cleaning_speed(lines) for _ in range(repeats)]
        ),
    }


def growth(data, repeats):
    """Seconds of the command, its memory and the size of its file, by number of tweets."""
    lines = read_corpus(data)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for num_tweets in (*SIZES, len(lines)):
            path = data / CORPUS
            if num_tweets < len(lines):
                path = Path(folder) / "part.jsonl"
                write_sample(path, lines, num_tweets)
            seconds = [preprocess(path, folder).seconds for _ in range(repeats)]
            peak = preprocess(path, folder, watched=True).peak_bytes
            rows.append(
                {
                    "tweets": num_tweets,
                    "seconds": harness.summary(seconds),
                    "peak_megabytes": round(peak / 1e6),
                    "output_megabytes": round((Path(folder) / "out.pkl").stat().st_size / 1e6, 1),
                }
            )
    return rows


def read_corpus(data):
    """The lines of the corpus in a folder."""
    if not data or not (data / CORPUS).is_file():
        raise SystemExit(f"--data FOLDER must hold {CORPUS}")
    with gzip.open(data / CORPUS, "rt", encoding="utf-8") as file:
        return file.readlines()


def main():
    arguments = harness.parser((__doc__ or "").split("\n")[0]).parse_args()
    lines = read_corpus(arguments.data)
    repeats = 1 if arguments.quick else 5
    with tempfile.TemporaryDirectory() as folder:
        results = measure(arguments.data / CORPUS, lines, folder, arguments.peers, repeats)
    rows = [("tweets/s", "median", "low", "high")]
    for name, values in results["tweets_per_second"].items():
        rows.append((name, values["median"], values["low"], values["high"]))
    harness.print_table(rows)
    command = "python -m tests.benchmarks.bench_preprocess" + " --quick" * arguments.quick
    harness.save("preprocess", harness.document(command, results))


if __name__ == "__main__":
    main()
