"""Measure preprocess.py: the whole command by number of tweets, beside what people use instead.

    python -m tests.benchmarks.bench_preprocess --data FOLDER --peers VENV/bin/python
        [--sizes 1000 10000 100000 0] [--repeats 3] [--budget MINUTES] [--quick]

FOLDER holds corpus/base_tweets.jsonl.gz, JSON lines with "text"; size 0 is all of it. Every run of
ours is a command of its own, start-up included; of the peers' only the time from reading to ids
counts, on at most 100,000 tweets. Writes results/preprocess.json.
"""

import gzip
import random
import sys
from functools import partial
from pathlib import Path

from tests.benchmarks import harness

CORPUS = Path("corpus") / "base_tweets.jsonl.gz"
SIZES = (1_000, 10_000, 100_000, 0)
MOST_FOR_PEERS = 100_000
OURS, ONE_PROCESS, PEER = "tweetgen", "tweetgen, one process", "chain"


def preprocess(path, place, *flags, watched=False):
    """One run of the command."""
    line = [sys.executable, "preprocess.py", "--data_path", path, "--model", harness.BASE]
    return harness.run([*line, "--output_path", place / "out.pkl", *flags], watched=watched)


def peer(path, python):
    """Seconds that the peers take from reading to ids."""
    line = [python, harness.script("peers_preprocess"), path, harness.PROJECT / harness.BASE]
    return harness.run_json(line)["seconds"]


def write_sample(path, lines, num_tweets):
    """A random part of the corpus, in its order."""
    chosen = sorted(random.Random(0).sample(range(len(lines)), num_tweets))
    path.write_text("".join(lines[number] for number in chosen), encoding="utf-8")
    return path


def read_corpus(data):
    """The lines of the corpus in a folder."""
    if not data or not (data / CORPUS).is_file():
        raise SystemExit(f"--data FOLDER must hold {CORPUS}")
    with gzip.open(data / CORPUS, "rt", encoding="utf-8") as file:
        return file.readlines()


def measure(session, path, num_tweets, place):
    """Speeds and memory with so many tweets."""
    peers = session.arguments.peers if num_tweets <= MOST_FOR_PEERS else ""
    subjects = {
        OURS: lambda: preprocess(path, place).seconds,
        ONE_PROCESS: lambda: preprocess(path, place, "--workers", 1).seconds,
    }
    if peers:
        subjects[PEER] = partial(peer, path, peers)
    seconds = session.alternate(subjects, session.arguments.repeats)
    return {
        "seconds": {name: harness.summary(values) for name, values in seconds.items()},
        "tweets_per_second": {
            name: harness.summary([num_tweets / value for value in values])
            for name, values in seconds.items()
        },
        "times_as_fast_is_tweetgen": {
            name: harness.ratio(values, seconds[OURS]) for name, values in seconds.items()
        },
        "peak_megabytes": round(preprocess(path, place, watched=True).peak_bytes / 1e6),
        "output_megabytes": round((place / "out.pkl").stat().st_size / 1e6, 1),
    }


def flags():
    """The flags of this script."""
    found = harness.parser("bench_preprocess", __doc__)
    found.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    found.add_argument("--repeats", type=int, default=3)
    return found


def main(argv=None):
    session = harness.Session(flags().parse_args(argv), argv)
    arguments = session.arguments
    lines, results = read_corpus(arguments.data), {}
    for size in arguments.sizes[:1] if arguments.quick else arguments.sizes:
        with harness.folder() as place:
            path = write_sample(place / "tweets.jsonl", lines, size or len(lines))
            results[str(size or len(lines))] = measure(session, path, size or len(lines), place)
        session.save("preprocess", results)


if __name__ == "__main__":
    main()
