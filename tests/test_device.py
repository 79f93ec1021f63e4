"""Choosing a device and a number format."""

import pytest
import torch

from tweetgen.device import choose_device, choose_precision
from tweetgen.errors import TweetgenError


def machine(monkeypatch, *, cuda=False, mps=False):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 if cuda else 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_R31_missing_device_is_named(name, monkeypatch):
    machine(monkeypatch)
    with pytest.raises(TweetgenError, match=f"no {name.upper()} device; use --device cpu"):
        choose_device(name)


@pytest.mark.parametrize(
    ("there", "expected"), [({}, "cpu"), ({"mps": True}, "mps"), ({"cuda": True}, "cuda")]
)
def test_auto_takes_the_fastest_device(there, expected, monkeypatch):
    machine(monkeypatch, **there)
    assert choose_device("auto").type == expected
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("feature", "expected"),
    [("avx2", torch.float32), ("avx512_bf16", torch.bfloat16), ("amx_bf16", torch.bfloat16)],
)
def test_auto_precision_is_what_the_processor_multiplies_in(feature, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {feature: True})
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) == expected
    assert choose_precision("fp32", cpu) == torch.float32
    assert choose_precision("bf16", cpu) == torch.bfloat16


def test_each_process_of_torchrun_takes_its_own_gpu(monkeypatch):
    machine(monkeypatch, cuda=True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(TweetgenError, match=r"2 GPU.*--nproc_per_node 2"):
        choose_device("cuda")
