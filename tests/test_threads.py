"""Waiting threads spin only briefly, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

from tests.conftest import PROJECT
from tweetgen.threads import SPIN_COUNT, limit_spinning


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is restored whatever the test does
        monkeypatch.delenv(name)


def test_spinning_is_limited():
    limit_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == SPIN_COUNT


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_what_the_user_set_stays(monkeypatch, name):
    monkeypatch.setenv(name, "7")
    before = dict(os.environ)
    limit_spinning()
    assert dict(os.environ) == before


@pytest.mark.parametrize("script", ["fine_tune", "generate"])
def test_commands_limit_it_before_torch_is_imported(script):
    """OpenMP reads it once, when it is loaded."""
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
