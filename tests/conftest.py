"""What holds for every test: no network, no model hub, and outside data only where it is named."""

import os
import signal
import socket
from pathlib import Path

import pytest

import tweetgen  # noqa: F401  # sets what MKL reads once

os.environ["HF_HUB_OFFLINE"] = "1"
# Threads gain nothing on tiny models, and where other programs run they wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
PROJECT = Path(__file__).resolve().parent.parent

# Shells start background jobs with Ctrl-C ignored, and nohup ignores hang-ups: not what is tested.
for name, handler in {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}.items():
    number = getattr(signal, name, None)  # no SIGHUP on Windows
    if number and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


def pytest_make_parametrize_id(val):
    """No test is named by bytes: those of an archive made while collecting hold the time of day,
    and workers that collected in different seconds would refuse to run.
    """
    return "bytes" if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """A test that opens an internet connection fails; local sockets (gloo) are let through."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to connect to {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def outside_data() -> Path:
    """The folder of real tweet files that TWEETGEN_DATA names; without it the test is skipped."""
    folder = Path(os.environ.get("TWEETGEN_DATA", ""))
    if not os.environ.get("TWEETGEN_DATA") or not folder.is_dir():
        pytest.skip("TWEETGEN_DATA is not set")
    return folder
