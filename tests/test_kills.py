"""SIGKILL at random moments: what is on disk always loads, and resuming ends in the same weights.

`pytest -m slow tests/test_kills.py` kills a hundred times, and leaves the figures in
tests/benchmarks/results/kills.json.
"""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import sys
import threading
import time

import pytest
import torch
from tqdm import tqdm

import fine_tune
import preprocess
from tests.benchmarks import harness
from tests.conftest import PROJECT
from tests.examples import sentences, tokens_content, write_tweets
from tests.tiny import tiny_model_folder
from tweetgen import storage

RESULTS = PROJECT / "tests" / "benchmarks" / "results" / "kills.json"
TRAIN = ["--data", "tokens.pkl", "--output_path", "out/a.pt", "--batch_size", "2"]
TRAIN += ["--epochs", "3", "--patience", "0", "--learning_rate", "0.003"]
TRAIN += ["--save_minutes", "0.0005"]
PREPROCESS = ["--data_path", "tweets.jsonl", "--model", "tiny", "--workers", "2"]


def start(folder, main, arguments):
    """Run a script in a child that has all imports behind it, so that kills hit its work."""

    def child():
        os.setsid()  # with its workers it can be killed as one
        tqdm.set_lock(threading.RLock())  # the usual one is shared: killed with it, we would wait
        os.chdir(folder)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        sys.exit(main(arguments))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    return process


def timed(folder, main, arguments):
    """Seconds that the script takes when nobody kills it; run here, which imports what it needs."""
    with contextlib.chdir(folder):
        main(arguments)
        begin = time.perf_counter()
        assert main(arguments) == 0
    return time.perf_counter() - begin


def kill_at(folder, main, arguments, seconds):
    """Run the script and kill it, workers and all, after this long; whether it still ran."""
    process = start(folder, main, arguments)
    process.join(seconds)
    if process.exitcode is not None:
        return False
    with contextlib.suppress(ProcessLookupError):  # it has not called setsid yet
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
    return True


def check_what_is_left(folder):
    """Everything with a name of ours loads, or is not there at all."""
    loaders = {"a.pt": storage.load_model, "a.resume.pt": storage.load_resume}
    for name, load in loaders.items():
        if (folder / "out" / name).exists():
            load(folder / "out" / name)
    if (folder / "data" / "processed.pkl").exists():
        storage.load_tokens(folder / "data" / "processed.pkl")


def weights_of(folder):
    return storage.load_model(folder / "out" / "a.pt")["weights"]


def equal(left, right):
    return left.keys() == right.keys() and all(
        torch.equal(left[name], right[name]) for name in left
    )


def kill_trainings(folder, num_kills, choose):
    """Kill trainings at random moments, resume each to its end; how many kills hit one."""
    tiny_model_folder(folder / "tiny")
    content = tokens_content(num_tweets=14, validation_start=12) | {"tokenizer_name": "tiny"}
    storage.save_tokens(folder / "tokens.pkl", content)
    whole = timed(folder, fine_tune.main, TRAIN)
    expected, hits = weights_of(folder), 0
    for name in os.listdir(folder / "out"):
        (folder / "out" / name).unlink()
    while hits < num_kills:
        resume = ["--resume"] if (folder / "out" / "a.resume.pt").exists() else []
        hits += kill_at(folder, fine_tune.main, [*TRAIN, *resume], whole * choose.random())
        check_what_is_left(folder)
        if (folder / "out" / "a.pt").exists() and not (folder / "out" / "a.resume.pt").exists():
            assert equal(weights_of(folder), expected)
            for name in os.listdir(folder / "out"):
                (folder / "out" / name).unlink()
    resume = ["--resume"] if (folder / "out" / "a.resume.pt").exists() else []
    with contextlib.chdir(folder):
        assert fine_tune.main([*TRAIN, *resume]) == 0
    assert equal(weights_of(folder), expected)
    return hits


def kill_preprocessing(folder, num_kills, choose):
    """Kill preprocessing at random moments; how many kills hit a running one."""
    tiny_model_folder(folder / "tiny")
    write_tweets(folder / "tweets.jsonl", sentences(60))
    whole = timed(folder, preprocess.main, PREPROCESS)
    expected, hits = (folder / "data" / "processed.pkl").read_bytes(), 0
    while hits < num_kills:
        hits += kill_at(folder, preprocess.main, PREPROCESS, whole * choose.random())
        check_what_is_left(folder)
        assert (folder / "data" / "processed.pkl").read_bytes() == expected
    with contextlib.chdir(folder):
        assert preprocess.main(PREPROCESS) == 0
    assert not [name for name in os.listdir(folder / "data") if name.endswith("part")]
    return hits


def test_R13_killed_trainings_resume_to_the_same_weights(tmp_path):
    seed = random.randrange(10**6)
    print("seed", seed)
    assert kill_trainings(tmp_path, 3, random.Random(seed)) == 3


def test_R13_killed_preprocessing_leaves_the_old_file(tmp_path):
    seed = random.randrange(10**6)
    print("seed", seed)
    assert kill_preprocessing(tmp_path, 2, random.Random(seed)) == 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_kills_lose_nothing(tmp_path):
    begin = time.perf_counter()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    results = {
        "training_kills_survived": kill_trainings(tmp_path / "a", 70, random.Random(1)),
        "preprocessing_kills_survived": kill_preprocessing(tmp_path / "b", 30, random.Random(2)),
    }
    assert list(results.values()) == [70, 30]
    results["seconds"] = round(time.perf_counter() - begin)
    command = "pytest -m slow tests/test_kills.py"
    RESULTS.write_text(json.dumps(harness.document(command, results), indent=1) + "\n")
