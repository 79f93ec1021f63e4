"""Bytes to text: which encoding a file is in, found while it is read once."""

import codecs
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pyarrow as pa

from tweetgen.errors import TweetgenError

BLOCK_BYTES = 2**20
MAX_RECORD = 16 * 2**20  # characters of one line, row or JSON object; tweets have under 100 kB
FILLING = "\x00\x1a"  # what crashes and DOS leave at the end of a file

# cp1252, with latin-1 for the five bytes that it leaves undefined.
CP1252 = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256))

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it starts with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CONTROL = re.compile(rb"[\x00-\x06\x0e-\x19\x1c-\x1f]")
NOT_TEXT = {  # by first bytes, in lower case
    b"%pdf": "a PDF",
    b"sqlite format 3": "a database",
    **{bytes((0x80, version)): "a Python pickle" for version in (2, 3, 4, 5)},
    b"rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip (7z) archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    **dict.fromkeys((b"rdx2", b"rdx3"), "an R data file (.rda)"),
    b"x\n\0\0\0": "an R data file (.rds)",
    b"\x89hdf": "an HDF5 file",
    b"obj\x01": "an Avro file",
    b"orc": "an ORC file",
    **dict.fromkeys((b"<!doctype html", b"<html"), "a web page"),
}


class _Cp1252(codecs.IncrementalDecoder):
    def decode(self, data: Any, final: bool = False) -> str:
        return codecs.charmap_decode(data, "strict", CP1252)[0]


class TextBlocks:
    """The text of a stream, piece by piece, lines ending with LF.

    UTF-8 until a byte shows that it is not; then UTF-8 with some damage, or cp1252.
    """

    def __init__(self, stream: Any, start: bytes, wanted: str, name: str) -> None:
        """`start` is what was read already, `wanted` the user's choice or "auto"."""
        self._stream, self._start, self._name = stream, start, name
        self._is_guess = False
        self._num_bytes = self._num_extra = 0  # extra: bytes of valid characters after their first
        self._line = 1
        if wanted != "auto":
            self._use(_given(wanted, start, name))
        elif marked := _marked(start):
            self._use(marked, "strict" if marked == "utf-8" else "replace")
        else:
            refuse_binary(start, name)
            self._use("utf-8")
            self._is_guess = True

    def _use(self, codec: str, errors: str = "strict") -> None:
        self._codec = codec
        decoder = _Cp1252 if codec == "cp1252" else codecs.getincrementaldecoder(codec)
        self._decoder = decoder(errors)

    @property
    def described(self) -> str:
        """Such as "UTF-8", "cp1252" or "UTF-8 (partly damaged)"."""
        damaged = self._codec == "utf-8" and self._decoder.errors == "replace"
        name = re.sub(r"utf-(\d+).*", r"UTF-\1", self._codec)
        return name + " (partly damaged)" if damaged else name

    def __iter__(self) -> Iterator[str]:
        returns: bool | None = None
        following = iter(lambda: self._stream.read(BLOCK_BYTES), b"")
        for data in chain([self._start], following, [b""]):
            text = self._decoded(data)
            if returns is None:
                text = text.removeprefix("\ufeff")
                returns = _ends_with_returns(text)
            if returns:
                text = text.replace("\r", "\n")
            if "\ufeff" in text:  # files with a mark that were joined
                text = text.replace("\n\ufeff", "\n")
            self._line += text.count("\n")
            if text:
                yield text

    def _decoded(self, data: bytes) -> str:
        """The text of a block, b"" at the end; TweetgenError if it is in another encoding."""
        pending = self._decoder.getstate()[0]
        try:
            text = self._decoder.decode(data, not data)
        except UnicodeError as error:
            if self._is_guess:
                self._judge(pending + data)
                return self._decoder.decode(pending + data, not data)
            start = error.start if isinstance(error, UnicodeDecodeError) else 0
            line = self._line + (pending + data).count(b"\n", 0, start)
            raise TweetgenError(
                f"line {line:,} of {self._name} is not valid {self._codec}. "
                "Correct it, or give the right encoding, such as --encoding cp1252."
            ) from None
        self._num_bytes += len(data)
        self._num_extra += len(data) - len(text)
        return text

    def _judge(self, data: bytes) -> None:
        """UTF-8 if nearly all is, else cp1252; TweetgenError if it can be neither."""
        self._is_guess = False
        text = data.decode("utf-8", "replace")
        num_damaged = text.count("\ufffd") - data.count("\ufffd".encode())
        num_extra = self._num_extra + len(data) - len(text)
        if num_extra > 2 * num_damaged:  # cp1252 text is next to never valid UTF-8 by accident
            self._use("utf-8", "replace")
        elif num_damaged > max(0.25 * (self._num_bytes + len(data)), 100):
            raise TweetgenError(
                f"{self._name} is neither UTF-8 nor a Western encoding. "
                "Give --encoding, such as cp1251, shift_jis or gb18030."
            )
        else:
            self._use("cp1252")


def _ends_with_returns(start: str) -> bool:
    """Whether lines end with CR alone, as on old Macs; LF may still be inside quotes."""
    num_returns, num_feeds = start.count("\r"), start.count("\n")
    if "\r\n" in start or num_returns == 0 or num_returns < num_feeds:
        return False
    return num_feeds == 0 or start.index("\r") < start.index("\n")


def refuse_binary(sample: bytes, name: str) -> None:
    """Raise TweetgenError if a file is no text, by its first bytes."""
    start = sample[:100].lower().lstrip()
    if what := next((what for magic, what in NOT_TEXT.items() if start.startswith(magic)), ""):
        raise TweetgenError(
            f"{name} is {what}. Save the tweets as CSV, JSON or plain text and give that."
        )
    body = sample.rstrip(FILLING.encode())
    allowed = 0.3 if _is_utf8(body) else 0.02  # UTF-8 with a null here and there is still text
    controls = list(CONTROL.finditer(body))
    if len(controls) > allowed * len(body):
        raise TweetgenError(
            f"{name} is not text: byte 0x{controls[0][0][0]:02x} at offset {controls[0].start():,} "
            f"and {len(controls) - 1:,} more in its first {len(body):,} bytes. "
            "Save it as CSV or plain text."
        )


def _is_utf8(sample: bytes) -> bool:
    try:
        codecs.utf_8_decode(sample, "strict", False)  # may end inside a character
    except UnicodeDecodeError:
        return False
    return True


def _given(name: str, sample: bytes, source_name: str) -> str:
    """The codec for --encoding; TweetgenError if there is none or it plainly does not fit."""
    try:
        bytes(4).decode(name, "replace")
        codecs.getincrementaldecoder(name)
        codec = codecs.lookup(name).name
    except (LookupError, UnicodeError, ValueError):
        raise TweetgenError(
            f"there is no encoding {name!r}. Try utf-8, cp1252, latin-1, utf-16 or shift_jis."
        ) from None
    if codec.startswith(("utf-16", "utf-32")) and b"\0" not in sample and _is_utf8(sample):
        raise TweetgenError(f"{source_name} is not {name} but UTF-8. Leave out --encoding.")
    return "utf-8" if codec == "utf-8-sig" else codec


def _marked(sample: bytes) -> str:
    """The encoding that a byte order mark, or UTF-16's null bytes, give away; "" if none."""
    for mark, name in BYTE_ORDER_MARKS.items():
        if sample.startswith(mark):
            return name
    num_even, num_odd = sample[0::2].count(0), sample[1::2].count(0)
    clear = len(sample) // 2 * 0.1  # a tenth of the characters: spaces and line ends at least
    if max(num_even, num_odd) < max(2, clear) or min(num_even, num_odd) * 20 > clear:
        return ""
    return "utf-16-le" if num_odd > num_even else "utf-16-be"


def as_arrow(texts: list[str]) -> pa.Array:
    """A column of texts; half surrogate pairs, as JSON may write them, are left out."""
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:
        pairs = (text.encode("utf-16", "surrogatepass") for text in texts)
        return pa.array([pair.decode("utf-16", "ignore") for pair in pairs], pa.large_string())
