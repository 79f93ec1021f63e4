"""Choosing a device and a number format, and how threads wait."""

import os
import subprocess
import sys

import pytest
import torch

from tests.conftest import PROJECT
from tweetgen.device import SPIN_COUNT, choose_device, choose_precision, limit_spinning
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


@pytest.fixture
def no_thread_settings(monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is restored whatever the test does
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_thread_settings")
def test_spinning_is_limited():
    limit_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == SPIN_COUNT


@pytest.mark.usefixtures("no_thread_settings")
@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_what_the_user_set_of_spinning_stays(monkeypatch, name):
    monkeypatch.setenv(name, "7")
    before = dict(os.environ)
    limit_spinning()
    assert dict(os.environ) == before


@pytest.mark.usefixtures("no_thread_settings")
@pytest.mark.parametrize("script", ["fine_tune", "generate"])
def test_commands_limit_spinning_before_torch_is_imported(script):
    code = (
        "import builtins, os, sys; real = builtins.__import__\n"
        "def watch(name, *rest, **more):\n"
        "    if name == 'torch' and 'torch' not in sys.modules:\n"
        "        print(os.environ.get('GOMP_SPINCOUNT')); sys.exit()\n"
        "    return real(name, *rest, **more)\n"
        "builtins.__import__ = watch\n"
        f"import {script}; {script}.main([])\n"
    )
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout == f"{SPIN_COUNT}\n", done.stderr
