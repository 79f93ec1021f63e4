"""Work shared between processes: nothing is lost, errors arrive, and no process stays behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pandas as pd
import pytest

from tests.conftest import PROJECT
from tweetgen.errors import TweetgenError
from tweetgen.preprocessing.parallel import BATCH_TWEETS, Task, choose_num_workers, map_batches

NUMBERS = pd.Series(range(5 * BATCH_TWEETS + 7))
PARENT = """
import os, sys, time
import pandas as pd
sys.path.insert(0, {project!r})
from tweetgen.preprocessing.parallel import Task, map_batches

def make():
    def work(batch):
        os.write(1, b"%d\\n" % os.getpid())
        time.sleep(0.05)
    return work

map_batches(Task(make, (), pd.Series(range(5_000_000))), 2, "sleeping")
"""

SHORT = """
import sys, threading
import pandas as pd
from tweetgen.preprocessing.parallel import Task, map_batches

map_batches(Task(lambda: len, (), pd.Series(range(9))), 2, "counting")
names = {thread.name for thread in threading.enumerate()}
print(names - {"MainThread", "tqdm_monitor"}, "torch.nn" in sys.modules)
"""


def adder(number):
    return lambda batch: batch + number


def fails_on_a_place():
    def work(batch):
        if batch.index[0] == BATCH_TWEETS:
            raise TweetgenError("line 3 of a.csv is odd. Mend it.")
        return batch

    return work


def kills_itself():
    return lambda batch: os.kill(os.getpid(), signal.SIGKILL)


def sends_and_dies():
    def work(batch):
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return b"x" * 100_000_000

    return work


def has_a_bug():
    return lambda batch: [][len(batch)]


def identity():
    def work(batch):
        time.sleep(0.01)
        return os.getpid()

    return work


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_rows(workers):
    results = map_batches(Task(adder, (5,), NUMBERS), workers, "adding")
    assert pd.concat(results).equals(NUMBERS + 5)


def test_spawned_processes_do_the_same():
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        results = map_batches(Task(adder, (5,), NUMBERS), 2, "adding")
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert pd.concat(results).equals(NUMBERS + 5)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_rows_are_one_empty_batch(workers):
    [result] = map_batches(Task(adder, (5,), NUMBERS[:0]), workers, "adding")
    assert len(result) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_for_the_user_arrives_as_it_is(workers):
    with pytest.raises(TweetgenError, match=r"^line 3 of a\.csv is odd\. Mend it\.$"):
        map_batches(Task(fails_on_a_place, (), NUMBERS), workers, "failing")
    assert multiprocessing.active_children() == []


def test_a_killed_process_is_one_clear_error():
    with pytest.raises(TweetgenError, match=r"was killed \(signal 9\), perhaps"):
        map_batches(Task(kills_itself, (), NUMBERS), 2, "dying")
    assert multiprocessing.active_children() == []


def test_a_bug_shows_where_it_is(capfd):
    with pytest.raises(TweetgenError, match=r"failed \(exit 1\)"):
        map_batches(Task(has_a_bug, (), NUMBERS), 2, "failing")
    assert "IndexError" in capfd.readouterr().err


@pytest.mark.timeout(20)
def test_a_process_killed_while_it_sends_is_not_waited_for():
    with pytest.raises(TweetgenError, match=r"was killed \(signal 9\)"):
        map_batches(Task(sends_and_dies, (), NUMBERS), 2, "dying")


def test_no_process_outlives_its_work():
    workers = set(map_batches(Task(identity, (), NUMBERS), 2, "resting"))
    assert os.getpid() not in workers and not any(map(is_running, workers))


def test_workers_end_when_their_parent_is_killed():
    code = PARENT.format(project=str(PROJECT))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        workers = [int(parent.stdout.readline()) for _ in range(2)]
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
    with pytest.raises(KeyboardInterrupt):
        map_batches(Task(identity, (), NUMBERS), 2, "stopped")
    assert multiprocessing.active_children() == []
    thread.join()


def test_small_dumps_take_one_process_and_a_wish_is_obeyed():
    assert choose_num_workers(1000, 0) == 1
    assert choose_num_workers(1000, 7) == 7
    assert 1 <= choose_num_workers(10**6, 0) <= os.cpu_count()


def test_nothing_is_being_imported_when_the_next_processes_may_start():
    """A process forked in the middle of an import may wait for ever for its locks."""
    line = [sys.executable, "-c", SHORT]
    done = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "True"]
