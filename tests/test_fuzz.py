"""Arbitrary input through each script's main: exit code 0, 1 or 2, never a traceback, never a hang.

The normal run tries a few hundred inputs; `pytest -m slow tests/test_fuzz.py` tries 100,000 and
leaves the figures in tests/benchmarks/results/fuzzing.json.
"""

import contextlib
import gzip
import io
import json
import os
import resource
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fine_tune
import generate
import preprocess
from tests.benchmarks import harness
from tests.conftest import PROJECT
from tests.examples import model_content, tokens_content
from tests.tiny import tiny_model_folder
from tweetgen import storage
from tweetgen.cleaning import clean
from tweetgen.text.length import weighted_length

SECONDS_PER_INPUT = 5
RESULTS = PROJECT / "tests" / "benchmarks" / "results" / "fuzzing.json"

# Text as it is in files of tweets, and what programs stumble over.
PIECES = [
    '"', ",", ";", "\t", "\n", "\r\n", "\r\r\n", "\x00", "\x1a", "\ufeff", "\\", "'", "{", "}", "[",
    "]", ":", "text", "full_text", "id,text\n", '{"text": "', '"}\n', "window.YTD.tweets.part0 = [",
    "RT @a: ", "@bob ", "#tag ", "https://t.co/a1", "http", "&amp;", "&amp;lt;", "&#x1F600;", "…",
    "\u202e", "\u200d", "\ufe0f", "👩‍🚀", "🇩🇪", "1️⃣", "é", "Ã©", "\ud83d", "<|endoftext|>", "b'",
    "\\u00e9", "the cat sat ", "on the mat. ", "日本語", "x" * 300, "." * 60, "-" * 60, "a.b" * 40,
]  # fmt: skip
TWEETISH = st.lists(st.sampled_from(PIECES) | st.text(max_size=12), max_size=30).map("".join)
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-16-le", "latin-1", "cp1252"])
SUFFIXES = st.sampled_from([".csv", ".tsv", ".json", ".jsonl", ".txt", ".js", ".zip", ".gz", ""])


def zipped(content, names):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return memory.getvalue()


ENCODED = st.builds(lambda text, name: text.encode(name, "replace"), TWEETISH, ENCODINGS)
MEMBERS = st.lists(
    st.sampled_from(["tweets.js", "data/tweets.js", "data/js/tweets/2012_01.js", "a.csv", "../x"]),
    min_size=1, max_size=2, unique=True,
)  # fmt: skip
FILES = st.one_of(
    st.binary(max_size=300),
    ENCODED,
    ENCODED.map(gzip.compress),
    st.builds(zipped, ENCODED, MEMBERS),
)


class Folder:
    """A tiny model, a token file and a model file, and what must not change beside them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        tiny_model_folder(path / "tiny")
        tokens = tokens_content() | {"tokenizer_name": str(path / "tiny")}
        storage.save_tokens(path / "tokens.pkl", tokens)
        storage.save_model(path / "model.pt", model_content())
        self.tokens = (path / "tokens.pkl").read_bytes()
        self.model = (path / "model.pt").read_bytes()

    def run(self, main, *flags):
        """Run a script; its exit code must be one of ours, its message one line, and soon."""
        stdout, stderr = io.StringIO(), io.StringIO()
        # A loop shows in the processor's time whatever else the machine does, a wait by the clock.
        start, begin = time.process_time(), time.perf_counter()
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = main([str(flag) for flag in flags])
        assert time.process_time() - start < SECONDS_PER_INPUT
        assert time.perf_counter() - begin < 6 * SECONDS_PER_INPUT
        assert code in (0, 1, 2), code
        if code == 1:
            errors = [line for line in stderr.getvalue().splitlines() if ": error: " in line]
            assert len(errors) == 1 or "of the tweets" in stderr.getvalue(), stderr.getvalue()
        assert not set(stdout.getvalue() + stderr.getvalue()) & set(map(chr, range(9))), (
            "raw control"
        )
        left = [name for name in os.listdir(self.path) if name.endswith("tweetgen-part")]
        assert left == []
        return code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("fuzz"))
    flags = ["--data", str(folder.path / "tokens.pkl"), "--max_steps", "1"]
    fine_tune.main([*flags, "--output_path", str(folder.path / "first.pt")])  # imports take seconds
    return folder


def a_file_of_tweets(folder, content, suffix):
    path = folder.path / f"input{suffix}"
    path.write_bytes(content)
    output = folder.path / "fresh.pkl"
    flags = ["--data_path", path, "--model", folder.path / "tiny", "--workers", 1]
    code = folder.run(preprocess.main, *flags, "--output_path", output)
    path.unlink()
    assert output.exists() == (code == 0)
    if code == 0:
        storage.load_tokens(output)
        output.unlink()


def a_text(folder, text):
    cleaned = clean(text)
    assert clean(cleaned.text).text == cleaned.text or cleaned.dropped
    assert weighted_length(text) >= 0


def a_prompt(folder, prompt):
    # Without chance a model that knows nothing is asked once, not 200 times.
    flags = ["--model_path", folder.path / "model.pt", "--num_tweets", 1, "--max_length", 0]
    folder.run(generate.main, *flags, "--temperature", 0, f"--prompt={prompt}")


def mutated(content, cuts):
    content = bytearray(content)
    for place, value, kind in cuts:
        place %= max(len(content), 1)
        if kind == 0 and content:
            content[place] = value
        elif kind == 1:
            del content[place : place + value]
        else:
            content[place:place] = bytes([value]) * (value % 7)
    return bytes(content)


def a_damaged_file(folder, cuts, is_model):
    path = folder.path / "damaged.pt"
    path.write_bytes(mutated(folder.model if is_model else folder.tokens, cuts))
    if is_model:
        folder.run(generate.main, "--model_path", path, "--num_tweets", 1, "--temperature", 0)
    else:
        output = folder.path / "out" / "a.pt"
        folder.run(fine_tune.main, "--data", path, "--output_path", output, "--max_steps", 1)
    assert (folder.path / "tokens.pkl").read_bytes() == folder.tokens
    assert (folder.path / "model.pt").read_bytes() == folder.model


CUTS = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.integers(0, 255), st.integers(0, 2)),
    min_size=1,
    max_size=4,
)
TARGETS = {  # name: (function, strategies, inputs in the normal run, inputs in the long run)
    "file": (a_file_of_tweets, (FILES, SUFFIXES), 100, 30_000),
    "text": (a_text, (TWEETISH | st.text(max_size=400),), 150, 55_000),
    "prompt": (a_prompt, (TWEETISH | st.text(max_size=80),), 20, 5_000),
    "damaged": (a_damaged_file, (CUTS, st.booleans()), 40, 10_000),
}


def try_inputs(folder, name, num_inputs):
    """Try so many inputs of a kind; how many of them ended well."""
    function, strategies, *_ = TARGETS[name]
    ended = []

    @settings(
        max_examples=num_inputs,
        deadline=None,
        database=None,
        derandomize=num_inputs <= 150,  # the normal run tries the same inputs each time
        suppress_health_check=list(HealthCheck),
    )
    @given(st.tuples(*strategies))
    def attempt(arguments):
        function(folder, *arguments)
        ended.append(name)

    attempt()
    return len(ended)


@pytest.mark.parametrize("name", TARGETS)
def test_arbitrary_input_ends_well(folder, name):
    num_inputs = TARGETS[name][2]
    assert try_inputs(folder, name, num_inputs) >= num_inputs / 2  # equal ones are tried once


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_inputs_end_well(folder):
    results = {}
    for name, (*_, num_inputs) in TARGETS.items():
        start = time.perf_counter()
        num_ended = try_inputs(folder, name, num_inputs)
        seconds = time.perf_counter() - start
        results[name] = {"inputs": num_ended, "seconds": round(seconds)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    results["peak_memory_gb"] = round(peak, 2)
    assert peak < 4
    assert sum(entry["inputs"] for entry in results.values() if isinstance(entry, dict)) >= 100_000
    content = harness.document("pytest -m slow tests/test_fuzz.py", results)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")
