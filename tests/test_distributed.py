"""Two processes on this machine, connected by gloo as torchrun would connect them."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch

from tests.train_rank import train
from tweetgen.errors import TweetgenError
from tweetgen.training.ranks import Ranks, ranks


@pytest.fixture(scope="module")
def two_ranks():
    """Exit code, stdout and stderr of each of two processes that run tests/train_rank.py."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    connection = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.train_rank"],
            env=os.environ | connection | {"RANK": rank, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    outputs = [child.communicate(timeout=100) for child in children]
    return [(child.returncode, *out) for child, out in zip(children, outputs, strict=True)]


def test_two_ranks_train_as_one(two_ranks):
    found = [json.loads(out) for _, out, _ in two_ranks]
    alone = train(Ranks())
    assert [result["rank"] for result in found] == [0, 1]
    assert found[0]["losses"] == found[1]["losses"]
    assert found[0]["sum"] == found[1]["sum"], "the ranks must hold the same weights"
    # Sums in another order: float32 rounding, grown by Adam over the steps.
    assert found[0]["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    assert found[0]["sum"] == pytest.approx(alone["sum"], rel=1e-5)


def test_failing_rank_ends_all_with_one_message(two_ranks):
    assert [code for code, _, _ in two_ranks] == [1, 1]
    messages = "".join(error for _, _, error in two_ranks)
    assert messages.count("the disk is full") == 1
    assert "Traceback" not in messages


def test_one_process_is_its_own_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with ranks() as group:
        assert group == Ranks(0, 1) and group.is_first
        tensor = torch.ones(3)
        group.sum(tensor)
        assert tensor.tolist() == [1, 1, 1]
        assert group.any(True) and not group.any(False)
        assert group.from_first(2.5) == 2.5
        with pytest.raises(TweetgenError), group.together():
            raise TweetgenError("no")


@pytest.mark.parametrize("size", ["2", "many"])
def test_ranks_without_torchrun_are_told_to_use_it(monkeypatch, size):
    monkeypatch.setenv("WORLD_SIZE", size)
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(TweetgenError, match="Start with torchrun"), ranks():
        pass


def test_an_empty_world_size_is_none(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "")
    with ranks() as group:
        assert group.size == 1
