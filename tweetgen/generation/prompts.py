"""Prompts from a file, and from a person at a terminal."""

import sys
from collections.abc import Iterator
from contextlib import suppress

from tweetgen.errors import TweetgenError
from tweetgen.text.lines import read_lines


def read_prompts(path: str) -> list[str]:
    """The lines of a file that are not blank.

    Raises:
        TweetgenError: it cannot be read or has none.
    """
    prompts = [line for line in read_lines(path) if line.strip()]
    if not prompts:
        raise TweetgenError(f"{path} has no prompts. Write one a line.")
    return prompts


def ask_for_prompts() -> Iterator[str]:
    """Yield what the user types, line by line, until the end of the input.

    Raises:
        TweetgenError: there is no input at all, or it is not valid Unicode.
    """
    if sys.stdin is None:  # closed by who started us
        raise TweetgenError("there is no input to read prompts from. Use --prompt instead.")
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with suppress(ImportError):  # Windows has none
        import readline  # noqa: F401  (gives input() line editing and history)
    while True:
        try:
            yield input("> " if is_terminal else "")
        except EOFError:
            return
        except UnicodeDecodeError as error:
            raise TweetgenError(
                "prompt is not valid UTF-8. Check the terminal's encoding."
            ) from error
