"""SIGKILL at random moments: what is on disk always loads, and resuming ends in the same weights.

`pytest -m slow tests/test_kills.py` kills a hundred times, and leaves the figures in
tests/benchmarks/results/kills.json.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.benchmarks import harness
from tests.conftest import PROJECT
from tests.examples import tokens_content
from tests.test_end_to_end import write_tweets
from tests.tiny import tiny_model_folder
from tweetgen import storage

RESULTS = PROJECT / "tests" / "benchmarks" / "results" / "kills.json"
TRAIN = ["fine_tune.py", "--data", "tokens.pkl", "--output_path", "out/a.pt", "--batch_size", "2"]
TRAIN += ["--epochs", "3", "--patience", "0", "--learning_rate", "0.003"]
TRAIN += ["--save_minutes", "0.0005"]
PREPROCESS = ["preprocess.py", "--data_path", "tweets.csv", "--model", "tiny", "--workers", "2"]


def start(folder, command):
    return subprocess.Popen(
        [sys.executable, PROJECT / command[0], *command[1:]],
        cwd=folder,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def timed(folder, command):
    """Seconds that the command takes when nobody kills it."""
    begin = time.perf_counter()
    process = start(folder, command)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors.decode()
    return time.perf_counter() - begin


def kill_at(folder, command, seconds):
    """Run the command and kill it, workers and all, after this long; whether it still ran."""
    process = start(folder, command)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    return False


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
    whole = timed(folder, TRAIN)
    expected, hits = weights_of(folder), 0
    for name in os.listdir(folder / "out"):
        (folder / "out" / name).unlink()
    while hits < num_kills:
        # The first half is imports: most kills should hit training and saving.
        resume = ["--resume"] if (folder / "out" / "a.resume.pt").exists() else []
        hits += kill_at(folder, [*TRAIN, *resume], whole * choose.uniform(0.3, 1.0))
        check_what_is_left(folder)
        if (folder / "out" / "a.pt").exists() and not (folder / "out" / "a.resume.pt").exists():
            assert equal(weights_of(folder), expected)
            for name in os.listdir(folder / "out"):
                (folder / "out" / name).unlink()
    resume = ["--resume"] if (folder / "out" / "a.resume.pt").exists() else []
    timed(folder, [*TRAIN, *resume])
    assert equal(weights_of(folder), expected)
    return hits


def kill_preprocessing(folder, num_kills, choose):
    """Kill preprocessing at random moments; how many kills hit a running one."""
    tiny_model_folder(folder / "tiny")
    write_tweets(folder / "tweets.csv")
    whole = timed(folder, PREPROCESS)
    expected, hits = (folder / "data" / "processed.pkl").read_bytes(), 0
    while hits < num_kills:
        hits += kill_at(folder, PREPROCESS, whole * choose.uniform(0.1, 1.0))
        check_what_is_left(folder)
        assert (folder / "data" / "processed.pkl").read_bytes() == expected
    timed(folder, PREPROCESS)
    assert not [name for name in os.listdir(folder / "data") if name.endswith("part")]
    return hits


@pytest.mark.slow
def test_R13_killed_trainings_resume_to_the_same_weights(tmp_path):
    seed = random.randrange(10**6)
    print("seed", seed)
    assert kill_trainings(tmp_path, 3, random.Random(seed)) == 3


@pytest.mark.slow
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
    results["seconds"] = round(time.perf_counter() - begin)
    command = "pytest -m slow tests/test_kills.py"
    RESULTS.write_text(json.dumps(harness.document(command, results)))
