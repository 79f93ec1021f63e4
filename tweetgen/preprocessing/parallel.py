"""A function applied to a table in batches, by one process or several; the result is the same."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pandas as pd
from tqdm import tqdm

from tweetgen.errors import TweetgenError
from tweetgen.signals import STOP_SIGNALS, held

BATCH_TWEETS = 4096
TWEETS_PER_WORKER = 5000  # a forked process takes 20 ms to start, one cleans 50,000 tweets a second
BAR_DELAY_SECONDS = 1.5  # what takes less shows no bar

Rows = pd.DataFrame | pd.Series
Work = Callable[[Any], Any]  # of a batch of rows


def choose_num_workers(num_tweets: int, wanted: int) -> int:
    """How many processes to use: as many as are wanted, or (0) as are worth it."""
    if wanted:
        return wanted
    # A job may be given fewer cores than there are; only Linux tells.
    affinity = getattr(os, "sched_getaffinity", None)
    num_cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(num_cores, num_tweets // TWEETS_PER_WORKER))


def batches(rows: Rows, size: int = BATCH_TWEETS) -> Iterator[Rows]:
    """The rows, some thousands at a time; one empty batch if there are none."""
    for start in range(0, max(1, len(rows)), size):
        yield rows.iloc[start : start + size]


def map_batches(
    make: Callable[..., Work], arguments: tuple[Any, ...], rows: Rows, workers: int, what: str
) -> list[Any]:
    """What the function `make(*arguments)` returns for each batch of the rows, in order.

    Each process calls `make` once. `what` names the work beside the progress bar. Processes that
    were started end with this function, and with this process however it ends.

    Raises:
        TweetgenError: one that the work raised, or a process was killed.
    """
    if workers == 1:
        return list(_with_bar(map(make(*arguments), batches(rows)), what, len(rows)))
    # Read after a fork: the threads of tokenizers would compete with the processes.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    pool = ProcessPoolExecutor(workers, None, _start_worker, (make, arguments))
    try:
        with held():  # a stop between a start and the note of it would leave a process behind
            results = pool.map(_work, batches(rows))
            import torch  # noqa: F401  # needed to save: 1.5 seconds, while the workers work
        return list(_with_bar(results, what, len(rows)))
    except BrokenProcessPool as error:
        raise TweetgenError(
            "a worker process was killed, perhaps for want of memory. "
            "Free some, or use --workers 1."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)  # waits for the batches that are being worked on


def _with_bar(results: Iterable[Any], what: str, num_tweets: int) -> Iterator[Any]:
    with tqdm(
        desc=what,
        total=num_tweets,
        unit=" tweets",
        unit_scale=True,
        delay=BAR_DELAY_SECONDS,
        leave=False,
    ) as bar:
        for result in results:
            yield result
            bar.update(min(BATCH_TWEETS, num_tweets - bar.n))


_works: list[Work] = []  # in a worker: what it does with a batch


def _work(batch: Rows) -> Any:
    return _works[0](batch)


def _start_worker(make: Callable[..., Work], arguments: tuple[Any, ...]) -> None:
    # Ctrl-C and a hang-up reach the whole group, and the parent ends us; SIGTERM is how it does.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    if unblock := getattr(signal, "pthread_sigmask", None):  # not on Windows
        unblock(signal.SIG_UNBLOCK, STOP_SIGNALS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()  # no work makes cycles, and looking for them took a tenth of the time
    _works.append(make(*arguments))


def _end_with_parent() -> None:
    """A pool's idle workers wait for ever: they hold the queue's other end open themselves."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)
