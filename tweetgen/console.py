"""The user's side: flags, exit codes, one-line errors, and printing that is safe."""

import argparse
import contextlib
import dataclasses
import difflib
import functools
import math
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import NoReturn, TextIO, TypeVar

from tweetgen.errors import TweetgenError
from tweetgen.files import DISK_FULL
from tweetgen.signals import discard, terminate_as_exception

Settings = TypeVar("Settings")

# What a terminal could obey or a reader could not see: C0, C1, DEL, line separators, bidi controls,
# zero-width characters but ZWJ and ZWNJ, lone surrogates.
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str, limit: int = 0) -> str:
    r"""`text` with everything a terminal could obey escaped, cut to `limit` characters if given.

    A line break becomes the two characters \n, ESC becomes \x1b.
    """
    if limit and len(text) > limit:
        text = text[: limit - 1] + "…"
    return UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def write_line(line: str, stream: TextIO) -> None:
    """Print one line to a stream of any encoding, escaping what it cannot show."""
    encoding = stream.encoding or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def show(text: str = "") -> None:
    """Print one line of the product to stdout."""
    write_line(printable(text), sys.stdout)


def say(text: str = "") -> None:
    """Print a message, of one line or several, to stderr, above a progress bar if there is one."""
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stderr):
        for line in text.split("\n"):
            write_line(printable(line), sys.stderr)


class Parser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviations and suggests the flag that was meant."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 after one line that ends in the flag that may have been meant."""
        if unknown := re.match(r"unrecognized arguments: ([^\s=]+)", message):
            flags = [name for action in self._actions for name in action.option_strings]
            near = difflib.get_close_matches(unknown[1], flags, n=1)
            message += f" (did you mean {near[0]}?)" if near else ""
        self.exit(2, f"{self.prog}: error: {printable(message, 300)}. See {self.prog}.py --help.\n")


LARGEST = 10**18  # larger whole numbers would overflow 64 bits, or a float


def number(
    kind: Callable[[str], float],
    minimum: float = -math.inf,
    maximum: float = math.inf,
    above: float = -math.inf,
) -> Callable[[str], float]:
    """An argparse type: `kind` (int or float) within the limits, or an error that names them.

    `minimum` and `maximum` are allowed values, `above` is the first value that is too small.
    """

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if abs(value) <= LARGEST and minimum <= value <= maximum and value > above:
            return value
        most = min(maximum, LARGEST) if value > LARGEST else maximum
        limits = {f"above {above:g}": above, f"at least {minimum:g}": minimum}
        limits[f"at most {most:,.10g}"] = most
        named = " and ".join(name for name, limit in limits.items() if math.isfinite(limit))
        what = f"a{' whole' if kind is int else ''} number {named}".rstrip()
        raise argparse.ArgumentTypeError(f"{printable(text, 80)!r} is not {what}")

    return parse


def add_settings(parser: argparse.ArgumentParser, settings: type) -> None:
    """Add one flag for each field of a settings class, under the first line of its docstring."""
    group = parser.add_argument_group((settings.__doc__ or "").split("\n")[0].rstrip("."))
    for field in dataclasses.fields(settings):
        options = {"help": field.metadata["help"].replace("%", "%%"), "default": field.default}
        if field.type is bool:
            options["action"] = "store_true"
        elif field.default != "":
            options["help"] += " (default: %(default)s)"
        if field.metadata["choices"]:
            options["choices"] = field.metadata["choices"]
        elif field.type is str:
            options["metavar"] = "TEXT"
        elif field.type is not bool:
            kind = number(field.type, **field.metadata["limits"])  # type: ignore[arg-type]
            options |= {"metavar": "N", "type": kind}
        group.add_argument(f"--{field.name}", **options)


def settings_from(arguments: argparse.Namespace, settings: type[Settings]) -> Settings:
    """The settings object that the parsed flags describe."""
    fields = dataclasses.fields(settings)  # type: ignore[arg-type]
    return settings(**{field.name: getattr(arguments, field.name) for field in fields})


def end(code: int) -> NoReturn:
    """End the process at once: to free a million strings one by one takes a second."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def command(prog: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Make `main(argv) -> int` a command: every way it can end becomes an exit code.

    0 done, 1 the user can fix it (one line on stderr), 2 usage, 128 + its number for a signal.
    """

    def decorate(main: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(main)
        def run(argv: list[str] | None = None) -> int:
            try:
                with terminate_as_exception():
                    return main(argv)
            except TweetgenError as error:
                write_line(f"{prog}: error: {printable(' '.join(str(error).split()))}", sys.stderr)
                return 1
            except SystemExit as stop:  # argparse: usage (2) or --help (0)
                return stop.code if isinstance(stop.code, int) else 1
            except BrokenPipeError:  # the reader had enough: `generate.py | head -1`
                discard(sys.stdout.fileno())
                return 0 if prog == "generate" else 1  # the others had more to do than print
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
                discard(sys.stdout.fileno())
                write_line(f"{prog}: error: disk full. Free some space and try again.", sys.stderr)
                return 1
            except KeyboardInterrupt as stop:
                return 128 + (stop.args[0] if stop.args else signal.SIGINT)

        return run

    return decorate
