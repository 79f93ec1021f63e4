"""Work shared between processes: nothing is lost, errors arrive, and no process stays behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import PROJECT
from tweetgen.errors import TweetgenError
from tweetgen.preprocessing import parallel

PARENT = """
import os, sys, time
sys.path.insert(0, {project!r})
from tweetgen.preprocessing.parallel import run_shares

def endless(share, num_shares):
    while True:
        time.sleep(0.05)
        yield os.getpid()

with run_shares(endless, 2) as reports:
    print(next(reports), next(reports), flush=True)
    time.sleep(100)
"""


def every_other(share, num_shares, numbers):
    yield from numbers[share::num_shares]


def fails_on_three(share, num_shares):
    for number in range(share, 10, num_shares):
        if number == 3:
            raise TweetgenError("line 3 of a.csv is odd. Mend it.")
        yield number


def is_killed(share, num_shares):
    yield share
    if share == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def has_a_bug(share, num_shares):
    yield [][share]


def endless(share, num_shares):
    while True:
        yield os.getpid()


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("num_shares", [1, 2, 3])
def test_every_report_of_every_share_arrives_once(num_shares):
    with parallel.run_shares(every_other, num_shares, list(range(20))) as reports:
        assert sorted(reports) == list(range(20))


def test_spawned_processes_do_the_same(monkeypatch):
    context = multiprocessing.get_context("spawn")
    monkeypatch.setattr(multiprocessing, "Process", context.Process)
    with parallel.run_shares(every_other, 2, list(range(20))) as reports:
        assert sorted(reports) == list(range(20))


@pytest.mark.parametrize("num_shares", [1, 2])
def test_an_error_for_the_user_arrives_as_it_is(num_shares):
    with (
        pytest.raises(TweetgenError, match=r"^line 3 of a\.csv is odd\. Mend it\.$"),
        parallel.run_shares(fails_on_three, num_shares) as reports,
    ):
        list(reports)


@pytest.mark.parametrize(
    "task, message", [(is_killed, r"was killed \(signal 9\)"), (has_a_bug, r"failed \(exit 1\)")]
)
def test_a_lost_process_is_one_clear_error(task, message, capfd):
    with (
        pytest.raises(TweetgenError, match=message),
        parallel.run_shares(task, 2) as reports,
    ):
        list(reports)
    assert ("IndexError" in capfd.readouterr().err) == (task is has_a_bug)


def test_no_process_outlives_the_block():
    with parallel.run_shares(endless, 2) as reports:
        running = {next(reports) for _ in range(100)}
    assert running and not any(map(is_running, running))


def test_workers_end_when_their_parent_is_killed():
    code = PARENT.format(project=str(PROJECT))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        workers = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    deadline = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_running, workers))


def test_a_process_being_started_is_not_left_behind(monkeypatch):
    """A stop came between the start and the note of it, through a thread that blocks no signals."""
    thread = threading.Thread(target=time.sleep, args=(0.5,))
    start = multiprocessing.Process.start

    def stopped_start(process):
        start(process)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)

    monkeypatch.setattr(multiprocessing.Process, "start", stopped_start)
    thread.start()
    with pytest.raises(KeyboardInterrupt), parallel.run_shares(endless, 2):
        time.sleep(5)
    assert multiprocessing.active_children() == []
    thread.join()
