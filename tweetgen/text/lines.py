"""Small text files of one entry a line: prompts and word lists."""

import codecs
from pathlib import Path

from tweetgen.errors import TweetgenError


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file in UTF-8 or UTF-16, with or without a byte-order mark.

    Raises:
        TweetgenError: the file cannot be read or is in another encoding.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise TweetgenError(f"cannot read {path} ({error.strerror}). Check the path.") from error
    try:
        text = content.decode(_encoding(content))
    except UnicodeDecodeError as error:
        raise TweetgenError(f"{path} is not UTF-8 text. Save it as UTF-8.") from error
    if "\0" in text:
        raise TweetgenError(f"{path} is not a text file. Save it as UTF-8 text.")
    return text.splitlines()


def _encoding(content: bytes) -> str:
    """The encoding by the byte-order mark, else by where the zero bytes of UTF-16 are."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if content.startswith(codecs.BOM_UTF8) or len(content) % 2 or b"\0" not in content:
        return "utf-8-sig"  # also without the mark
    # "a" is 61 00 in UTF-16-LE, 00 61 in BE
    return "utf-16-le" if content[1::2].count(0) > content[::2].count(0) else "utf-16-be"
