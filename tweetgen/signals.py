"""SIGINT (Ctrl-C), SIGTERM and SIGHUP: raising KeyboardInterrupt, requesting a stop, or held."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HANGUP = getattr(signal, "SIGHUP", None)  # not on Windows
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, *filter(None, [HANGUP]))


@contextmanager
def terminate_as_exception() -> Iterator[None]:
    """Inside the block SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT always does.

    So temporary files and progress bars are cleaned up. The exception's argument is the signal.
    """

    def handler(number: int, _frame: object) -> None:
        _leave_terminal(number)
        raise KeyboardInterrupt(number)

    with _handlers(dict.fromkeys(STOP_SIGNALS[1:], handler)):
        yield


@contextmanager
def held() -> Iterator[None]:
    """Inside the block no signal is acted on; the first that came is delivered after it.

    For work that an exception must not cut: an import, whose clean-up swallows exceptions, or the
    start of a process that nobody would end. A process started inside ignores the signals.
    """
    arrived: list[int] = []
    note = {number: lambda number, _frame: arrived.append(number) for number in STOP_SIGNALS}
    # A signal blocked in this thread still reaches the process's other threads, and Python then
    # runs its handler in this one: so the handlers are replaced too.
    set_mask = getattr(signal, "pthread_sigmask", None)  # not on Windows
    before = set_mask(signal.SIG_BLOCK, STOP_SIGNALS) if set_mask else None
    try:
        with _handlers(note):
            yield
    finally:
        if set_mask:
            set_mask(signal.SIG_SETMASK, before)
        if arrived:
            signal.raise_signal(arrived[0])


class StopRequest:
    """What `stop_requests` yields: called, it says whether a signal came."""

    def __init__(self) -> None:
        self.exit_code = 0  # 128 + the signal's number

    def __call__(self) -> bool:
        return self.exit_code != 0

    def handle(self, number: int, _frame: object) -> None:
        """Signal handler: note the first signal, raise KeyboardInterrupt at the second."""
        if self.exit_code:
            raise KeyboardInterrupt(number)
        self.exit_code = 128 + number
        _leave_terminal(number)
        try:  # os.write, because a print inside an interrupted print raises "reentrant call"
            os.write(2, b"\nstopping after this step and saving (once more: stop at once)\n")
        except OSError:  # Ctrl-C also ended the reader of our messages, as in `... 2>&1 | tee`
            discard(2)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Inside the block the first signal only sets the yielded request; a second one raises."""
    request = StopRequest()
    with _handlers(dict.fromkeys(STOP_SIGNALS, request.handle)):
        yield request


@contextmanager
def _handlers(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    """Inside the block these handlers are set; outside the main thread, where none can be, none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, Any] = {}
    try:
        for number, handler in handlers.items():
            if number == HANGUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # started by nohup
            before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _leave_terminal(number: int) -> None:
    """After SIGHUP the terminal is gone: send what would be written to it to /dev/null."""
    if number == HANGUP:
        for stream in (1, 2):
            if os.isatty(stream):
                discard(stream)


def discard(stream: int) -> None:
    """Send what will be written to this file descriptor to /dev/null."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
