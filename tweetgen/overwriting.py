"""Whether what a command writes would take the place of what it reads."""

import os
from collections.abc import Iterable

from tweetgen.errors import TweetgenError
from tweetgen.files import check_writable


def check_outputs(outputs: Iterable[str], inputs: Iterable[str]) -> None:
    """Raise before any work if an output cannot be written or would do harm; "" is no file.

    Raises:
        TweetgenError: it cannot be written, is an input, or is another output.
    """
    taken = {os.path.realpath(path) for path in inputs if path}
    for path in filter(None, outputs):
        if os.path.realpath(path) in taken:
            raise TweetgenError(f"{path} is another file of this command. Name a new one to write.")
        taken.add(os.path.realpath(path))
        check_writable(path)
