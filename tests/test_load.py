"""Large inputs: memory stays within what the README states. All long: `pytest -m slow`.

Leaves the figures in tests/benchmarks/results/load.json.
"""

import json
import sys

import pytest

from tests.benchmarks import harness
from tests.conftest import PROJECT
from tests.examples import sentences, write_tweets
from tweetgen import storage

RESULTS = PROJECT / "tests" / "benchmarks" / "results" / "load.json"
GIGABYTE = 10**9
GENERATE = """
import itertools, sys
from pathlib import Path
from tweetgen import storage
from tweetgen.generation import drawing
from tweetgen.settings import SamplingSettings
model = drawing.load(storage.load_model(sys.argv[1]))
tweets = drawing.generate(model, [""], 10_000, SamplingSettings(batch_size=256))
def peak():  # not ru_maxrss, in which the process that started this one counts
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
sum(1 for _ in itertools.islice(tweets, 1_000))
early = peak()
assert sum(1 for _ in tweets) == 9_000
print(early, peak())
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def keep(**figures):
    """Add figures to the result file."""
    earlier = json.loads(RESULTS.read_text())["results"] if RESULTS.is_file() else {}
    content = harness.document("pytest -m slow tests/test_load.py", earlier | figures)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


def run(script, *flags):
    return harness.run([sys.executable, script, *flags], watched=True)


def preprocessed(tweets, tokens, *flags):
    line = ["--data_path", tweets, "--output_path", tokens, "--model", "models/base"]
    return run("preprocess.py", *line, *flags)


def test_a_million_tweets_are_preprocessed_in_less_than_a_gigabyte(tmp_path):
    write_tweets(tmp_path / "tweets.jsonl", sentences(1_000_000))
    tweets, tokens = tmp_path / "tweets.jsonl", tmp_path / "out.pkl"
    peak = preprocessed(tweets, tokens, "--workers", 2).peak_bytes
    keep(preprocessing_1_000_000_tweets_gigabytes=peak / GIGABYTE)
    assert 0 < peak < GIGABYTE
    assert len(storage.load_tokens(tmp_path / "out.pkl")["offsets"]) > 900_000


def test_a_hundred_thousand_tweets_are_trained_on_in_less_than_two_gigabytes(tmp_path):
    write_tweets(tmp_path / "tweets.jsonl", sentences(100_000))
    tokens, model = tmp_path / "out.pkl", tmp_path / "out.pt"
    preprocessed(tmp_path / "tweets.jsonl", tokens)
    limits = ["--max_steps", 100, "--batch_size", 16]
    peak = run("fine_tune.py", "--data", tokens, "--output_path", model, *limits).peak_bytes
    keep(training_on_100_000_tweets_gigabytes=peak / GIGABYTE)
    assert 0 < peak < 2 * GIGABYTE


def test_ten_thousand_tweets_need_no_more_memory_than_a_thousand(tmp_path):
    write_tweets(tmp_path / "tweets.jsonl", sentences(2_000))
    tokens, model = tmp_path / "out.pkl", tmp_path / "out.pt"
    preprocessed(tmp_path / "tweets.jsonl", tokens)
    run("fine_tune.py", "--data", tokens, "--output_path", model, "--max_steps", 2)
    output = harness.run([sys.executable, "-c", GENERATE, model]).output
    early, late = (int(number) / GIGABYTE for number in output.split())
    keep(generating_1_000_tweets_gigabytes=early, generating_10_000_tweets_gigabytes=late)
    assert late < early + 0.03  # the texts themselves, which must not come again, are 1 MB
