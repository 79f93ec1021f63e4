"""Ctrl-C, SIGTERM and a closed terminal: an exception, a wish to stop, or held for a moment."""

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
    """The others unwind like Ctrl-C, so that temporary files and progress bars are cleaned up."""

    def handler(number: int, _frame: object) -> None:
        _leave_terminal(number)
        raise KeyboardInterrupt(number)

    with _handlers(dict.fromkeys(STOP_SIGNALS[1:], handler)):
        yield


@contextmanager
def held() -> Iterator[None]:
    """Inside the block no stop arrives; one that came is delivered after it.

    For moments in which an exception would be lost, as in an import, whose clean-up swallows it, or
    would leave something behind, as a process that was started and is not yet known. A process
    started inside the block never sees the signals.
    """
    arrived: list[int] = []
    note = {number: lambda number, _frame: arrived.append(number) for number in STOP_SIGNALS}
    # Blocked signals still reach the other threads of the process, and Python then runs the
    # handlers in this one: both have to be held.
    blocks = getattr(signal, "pthread_sigmask", None)  # not on Windows
    before = blocks(signal.SIG_BLOCK, STOP_SIGNALS) if blocks else None
    try:
        with _handlers(note):
            yield
    finally:
        if blocks:
            blocks(signal.SIG_SETMASK, before)
        if arrived:
            signal.raise_signal(arrived[0])


class StopRequest:
    """The first signal is a wish, readable as `exit_code`; the second stops at once."""

    def __init__(self) -> None:
        self.exit_code = 0

    def __call__(self) -> bool:
        """Whether the user asked to stop."""
        return self.exit_code != 0

    def handle(self, number: int, _frame: object) -> None:
        """Signal handler: remember the wish, or raise KeyboardInterrupt the second time."""
        if self.exit_code:
            raise KeyboardInterrupt(number)
        self.exit_code = 128 + number
        _leave_terminal(number)
        try:  # only async-signal-safe work: a print inside a print raises "reentrant call"
            os.write(2, b"\nstopping after this step and saving (once more: stop at once)\n")
        except OSError:  # who read our messages is gone: Ctrl-C ended the tee of `... 2>&1 | tee`
            _discard(2)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Inside the block, signals set the yielded request instead of raising."""
    request = StopRequest()
    with _handlers(dict.fromkeys(STOP_SIGNALS, request.handle)):
        yield request


@contextmanager
def _handlers(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    """Inside the block these handlers are set; in other threads than the main one nothing is."""
    if threading.current_thread() is not threading.main_thread():
        yield  # whoever runs us handles signals
        return
    before: dict[signal.Signals, Any] = {}
    try:
        for number, handler in handlers.items():
            if number == HANGUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup
            before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _leave_terminal(number: int) -> None:
    """After a hang-up there is no terminal: what would be written to it goes nowhere."""
    if number == HANGUP:
        for stream in (1, 2):
            if os.isatty(stream):
                _discard(stream)


def _discard(stream: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
