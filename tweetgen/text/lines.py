"""Small text files of one entry a line: prompts and word lists."""

import codecs
from pathlib import Path

from tweetgen.errors import TweetgenError

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


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
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return encoding
    if len(content) % 2 == 0 and b"\0" in content:  # "a" is 61 00 in UTF-16-LE, 00 61 in BE
        return "utf-16-le" if content[1::2].count(0) > content[::2].count(0) else "utf-16-be"
    return "utf-8"
