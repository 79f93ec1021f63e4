"""A function applied to a table in batches, by one process or several; the result is the same.

`concurrent.futures` waits for ever where a process is killed while it sends a result, as its end of
the pipe stays open in the parent. Here each process has a pipe of its own, which ends with it.
"""

import gc
import importlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, TypeAlias

import pandas as pd
from tqdm import tqdm

from tweetgen.errors import TweetgenError
from tweetgen.signals import STOP_SIGNALS, held

BATCH_TWEETS = 4096
TWEETS_PER_WORKER = 20_000  # 0.6 s of cleaning and encoding; a second process costs 0.2 s of work
BAR = {"unit": " tweets", "unit_scale": True, "leave": False, "delay": 1.5}  # no bar before that

Rows: TypeAlias = pd.DataFrame | pd.Series
Work = Callable[[Any], Any]  # of a batch of rows


class Task(NamedTuple):
    """`make(*arguments)` is the function for each batch of the rows."""

    make: Callable[..., Work]
    arguments: tuple[Any, ...]
    rows: Rows


class Worker(NamedTuple):
    """A process and the end of its pipe that we read."""

    process: BaseProcess
    reader: Connection


def choose_num_workers(num_tweets: int, wanted: int) -> int:
    """How many processes to use: as many as are wanted, or (0) as are worth it."""
    if wanted:
        return wanted
    # A job may be given fewer cores than there are; only Linux tells.
    affinity = getattr(os, "sched_getaffinity", None)
    num_cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(num_cores, num_tweets // TWEETS_PER_WORKER))


def batches(rows: Rows, size: int = BATCH_TWEETS) -> Iterator[Any]:
    """The rows, some thousands at a time; one empty batch if there are none."""
    for start in range(0, max(1, len(rows)), size):
        yield rows.iloc[start : start + size]


def map_batches(task: Task, num_workers: int, what: str) -> list[Any]:
    """The result for each batch, in order; `what` names the work beside the progress bar.

    No process outlives the call, nor this process if it is killed.

    Raises:
        TweetgenError: one that the work raised, or a process was killed.
    """
    num_rows = len(task.rows)
    if num_workers == 1:
        return list(_with_bar(map(task.make(*task.arguments), batches(task.rows)), what, num_rows))
    workers: list[Worker] = []
    try:
        _start(workers, task, num_workers)
        # Needed to save: 1.5 seconds, in which the workers work. torch remembers the frames that
        # import it; those of a thread do not hold the table.
        importing = threading.Thread(target=importlib.import_module, args=("torch",), daemon=True)
        importing.start()
        results = list(_with_bar(_receive(workers, num_rows), what, num_rows))
        importing.join()  # a process forked in the middle of an import may wait for its locks
        return results
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()
            worker.reader.close()


def _start(workers: list[Worker], task: Task, num_workers: int) -> None:
    """Start the processes and append them to `workers`."""
    # Read after a fork: the threads of tokenizers would compete with the processes.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for number in range(num_workers):
        reader, writer = multiprocessing.Pipe(duplex=False)
        readers = [*(worker.reader for worker in workers), reader]
        share = (number, num_workers)
        process = multiprocessing.Process(
            target=_work, args=(task, share, writer, readers), daemon=True
        )
        with held():  # a stop between the start and the note of it would leave a process behind
            process.start()
            workers.append(Worker(process, reader))
        writer.close()  # so that the pipe ends when the process does


def _receive(workers: list[Worker], num_rows: int) -> Iterator[Any]:
    for number in range(max(1, -(-num_rows // BATCH_TWEETS))):
        process, reader = workers[number % len(workers)]
        try:
            result = reader.recv()
        except (EOFError, OSError):  # ended, or killed in the middle of a result
            process.join()
            code = process.exitcode or 0
            how = f"was killed (signal {-code})" if code < 0 else f"failed (exit {code})"
            raise TweetgenError(
                f"a worker process {how}, perhaps for want of memory. "
                "Free some, or use --workers 1."
            ) from None
        if isinstance(result, TweetgenError):
            raise result
        yield result


def _work(
    task: Task, share: tuple[int, int], writer: Connection, readers: list[Connection]
) -> None:
    """What runs in a process: batches number share[0], share[0] + share[1], ... and their results.

    A forked process inherits the rows. A thread sends, so that a parent who is slow to read, as
    it imports torch, stops no work.
    """
    for number in STOP_SIGNALS:  # they reach the whole group; it is the parent who ends us
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # no work makes cycles, and looking for them took a tenth of the time
    for reader in readers:  # inherited: while they are open here, sending to a dead parent works
        reader.close()
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    sender = threading.Thread(target=_send, args=(results, writer))
    sender.start()
    try:
        work = task.make(*task.arguments)
        for number, batch in enumerate(batches(task.rows)):
            if number % share[1] == share[0]:
                results.put(work(batch))
    except TweetgenError as error:
        results.put(error)
    finally:
        results.put(None)
        sender.join()


def _send(results: "queue.SimpleQueue[Any]", writer: Connection) -> None:
    while (result := results.get()) is not None:
        try:
            writer.send(result)
        except BrokenPipeError:
            os._exit(1)  # the parent is gone


def _with_bar(results: Iterable[Any], what: str, num_rows: int) -> Iterator[Any]:
    with tqdm(desc=what, total=num_rows, **BAR) as bar:
        for result in results:
            yield result
            bar.update(min(BATCH_TWEETS, num_rows - bar.n))
