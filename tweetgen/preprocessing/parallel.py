"""One task shared between processes: each works on its own part and reports as it goes."""

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from tweetgen.errors import TweetgenError
from tweetgen.signals import STOP_SIGNALS, held

# A task is called with its share (0, 1, ...), the number of shares, and arguments common to all.
Task = Callable[..., Iterator[Any]]


class Worker(NamedTuple):
    """A process and the end of its pipe that we read."""

    process: BaseProcess
    reader: Connection


@contextmanager
def run_shares(task: Task, num_shares: int, *arguments: Any) -> Iterator[Iterator[Any]]:
    """What `task(share, num_shares, *arguments)` yields for all shares, as it comes.

    A single share runs here, when the reports are read. Several run at once, each in a process of
    its own, from the start of the block; none outlives the block. Reports should be small: a
    process whose reports nobody reads yet has to wait after 64 KB of them.

    Raises:
        TweetgenError: one that a task raised, or a process was killed.
    """
    if num_shares == 1:
        yield task(0, 1, *arguments)
        return
    workers: list[Worker] = []
    try:
        _start(workers, task, num_shares, arguments)
        yield _receive(workers)
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()
            worker.reader.close()


def _start(workers: list[Worker], task: Task, num_shares: int, arguments: Any) -> None:
    """Start the processes and append them to `workers`."""
    # Set before a fork: tokenizers would print a warning in each child, and their threads would
    # compete with the processes for the same cores.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for share in range(num_shares):
        reader, writer = multiprocessing.Pipe(duplex=False)
        readers = [*(worker.reader for worker in workers), reader]
        process = multiprocessing.Process(
            target=_work, args=(writer, readers, task, share, num_shares, arguments), daemon=True
        )
        with held():
            process.start()
            workers.append(Worker(process, reader))
        writer.close()  # so that the pipe ends when the process does


def _receive(workers: list[Worker]) -> Iterator[Any]:
    running = {worker.reader: worker.process for worker in workers}
    while running:
        for reader in wait(list(running)):
            assert isinstance(reader, Connection)
            try:
                report = reader.recv()
            except (EOFError, OSError):  # ended, or killed in the middle of a report
                process = running.pop(reader)
                process.join()
                _check_ending(process.exitcode)
                continue
            if isinstance(report, TweetgenError):
                raise report
            yield report


def _check_ending(exit_code: int | None) -> None:
    if not exit_code:
        return
    how = f"was killed (signal {-exit_code})" if exit_code < 0 else f"failed (exit {exit_code})"
    raise TweetgenError(
        f"a worker process {how}, perhaps for want of memory. Free some, or use --workers 1."
    )


def _work(
    writer: Connection,
    readers: list[Connection],
    task: Task,
    share: int,
    num_shares: int,
    arguments: Any,
) -> None:
    """What runs in a process: do the share and send its reports."""
    for number in STOP_SIGNALS:  # they reach the whole group; it is the parent who ends us
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # no task makes cycles, and looking for them took a tenth of the time
    for reader in readers:  # inherited: while they are open here, sending to a dead parent works
        reader.close()
    try:
        for report in task(share, num_shares, *arguments):
            writer.send(report)
    except TweetgenError as error:
        writer.send(error)
    except BrokenPipeError:  # the parent is gone
        return
