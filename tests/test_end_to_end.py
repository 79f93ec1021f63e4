"""The three scripts as a user runs them: subprocesses, files on disk, exit codes."""

import json
import os
import random
import re
import subprocess
import sys

import pytest

from tests.conftest import PROJECT
from tests.tiny import tiny_model_folder
from tweetgen import storage

SUBJECTS = ["The baker", "My neighbour", "A small dog", "The tram", "Our choir", "The moon"]
VERBS = ["lost", "found", "painted", "forgot", "returned", "admired"]
OBJECTS = ["the blue door", "a wooden spoon", "seven letters", "an old map", "the last biscuit"]


def write_tweets(path, num_tweets=60):
    """A CSV of short, distinct tweets, some with a link or a mention."""
    choose = random.Random(1)
    texts = {}
    while len(texts) < num_tweets:
        words = [choose.choice(part) for part in (SUBJECTS, VERBS, OBJECTS)]
        texts[f"{' '.join(words)}."] = None
    rows = [f'{i},"{text} https://t.co/abc{i}"' for i, text in enumerate(texts)]
    path.write_text("\n".join(["id,text", *rows, '99,"RT @ann: something else entirely"']) + "\n")


def run(folder, script, *flags, exit_code=0):
    done = subprocess.run(
        [sys.executable, PROJECT / script, *map(str, flags)],
        cwd=folder,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_three_commands_turn_tweets_into_tweets(tmp_path, architecture):
    model = tiny_model_folder(tmp_path / "tiny", architecture)
    work = tmp_path / "work"
    (work / "data").mkdir(parents=True)
    write_tweets(work / "data" / "tweets.csv")

    table = run(work, "preprocess.py", "--data_path", "data/tweets.csv", "--model", model).stdout
    assert re.search(r"read +61\b", table) and re.search(r"kept +60\b", table)
    tokens = storage.load_tokens(work / "data" / "processed.pkl")
    assert tokens["validation_start"] == 54

    shown = run(work, "fine_tune.py", "--epochs", 2, "--batch_size", 8).stderr
    assert "before training" in shown and "bits per character" in shown
    expected = [
        "data/processed.pkl",
        "data/tweets.csv",
        "models/fine_tuned_model.md",
        "models/fine_tuned_model.png",
        "models/fine_tuned_model.pt",
    ]
    assert files_in(work) == expected

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (work / "models" / "fine_tuned_model.pt").rename(elsewhere / "model.pt")
    flags = ["--model_path", "model.pt", "--num_tweets", 3, "--format", "jsonl", "--prompt", "The"]
    # A model that has learned next to nothing seldom ends by itself within 280: no limit here.
    done = run(elsewhere, "generate.py", *flags, "--max_length", 0)
    tweets = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(tweets) == 3
    assert all(tweet["text"].startswith("The") and tweet["finished"] for tweet in tweets)


def test_the_defaults_of_the_three_commands_fit_together():
    import fine_tune
    import generate
    import preprocess

    assert preprocess.parse([]).output_path == fine_tune.parse([]).data
    assert fine_tune.parse([]).output_path == generate.parse([]).model_path


def commands_in(text):
    """The python command lines in a document's code blocks, split at && and lines."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [part.strip() for block in blocks for part in re.split(r"&&|\n", block)]
    return [line for line in lines if re.match(r"(\.venv/bin/)?python \w+\.py", line)]


def test_the_commands_in_the_readme_parse():
    import shlex

    import fine_tune
    import generate
    import preprocess

    scripts = {"preprocess": preprocess, "fine_tune": fine_tune, "generate": generate}
    commands = commands_in((PROJECT / "README.md").read_text("utf-8"))
    assert len(commands) >= 2
    for command in commands:
        _, script, *flags = shlex.split(command)
        scripts[script.removesuffix(".py")].parse(flags)


def test_the_readme_s_test_command_is_the_one_that_ci_runs():
    last_line = (PROJECT / ".ci" / "run").read_text().rstrip().split("\n")[-1]
    assert last_line.endswith("-m pytest")
    assert last_line in (PROJECT / "README.md").read_text("utf-8").split("\n")


def test_the_readme_keeps_the_three_oldest_commands():
    readme = (PROJECT / "README.md").read_text("utf-8")
    for command in (
        "python preprocess.py --data_path data/tweets.csv --output_path data/processed.pkl",
        "python fine_tune.py --data data/processed.pkl --epochs 10 --batch_size 16",
        "python generate.py --model_path models/fine_tuned_model.pt "
        '--prompt "Enter your prompt here"',
    ):
        assert command in readme
