"""Which character encoding a file is in, and its bytes as blocks of whole lines."""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from tweetgen.errors import TweetgenError

MAX_RECORD = 16 * 2**20  # bytes of one line, row or JSON object; the longest tweet has under 100 kB
FILLING = "\x00\x1a"  # what crashes and DOS leave at the end of a file

# cp1252, with latin-1 for the five bytes that it leaves undefined.
CP1252 = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256))

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CONTROL = re.compile(rb"[\x00-\x06\x0e-\x19\x1c-\x1f]")
NOT_TEXT = {
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "a database",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"\x80\x04\x95": "a Python pickle",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
}


class Reader(Protocol):
    """Anything with `read(size) -> bytes`, empty at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Encoding:
    """How bytes become text."""

    name: str  # as Python's codecs call it
    errors: str = "strict"  # "replace" where a few bytes of UTF-8 are known to be damaged
    carriage_returns: bool = False  # lines end with CR alone, as on old Macs

    def decode(self, block: bytes, first_line: int, source_name: str) -> str:
        """The text of a block of `chunks`; TweetgenError, with the line, where it is not text."""
        if self.name == "cp1252":
            return codecs.charmap_decode(block, "strict", CP1252)[0]
        try:
            return block.decode("utf-8", self.errors)
        except UnicodeDecodeError as error:
            line = first_line + block.count(b"\n", 0, error.start)
            raise _not_decodable(source_name, "utf-8", line) from None


def _not_decodable(source_name: str, encoding: str, line: int) -> TweetgenError:
    return TweetgenError(
        f"line {line:,} of {source_name} is not valid {encoding}. "
        "Correct it, or give the right encoding, such as --encoding cp1252."
    )


def chunks(stream: Reader, encoding: Encoding, size: int, name: str) -> Iterator[bytes]:
    """The stream in pieces of about `size` bytes, in UTF-8 or cp1252, lines ending with LF."""
    pieces: Iterator[bytes] = iter(lambda: stream.read(size), b"")
    if encoding.name not in ("utf-8", "cp1252"):
        pieces = _recoded(pieces, encoding, name)
    first = True
    for piece in pieces:
        if first and encoding.name != "cp1252":
            piece = piece.removeprefix(codecs.BOM_UTF8)
        first = False
        yield piece.replace(b"\r", b"\n") if encoding.carriage_returns else piece


def _recoded(pieces: Iterator[bytes], encoding: Encoding, name: str) -> Iterator[bytes]:
    """Any other encoding as UTF-8, so that LF is one byte everywhere after this."""
    decoder = codecs.getincrementaldecoder(encoding.name)(encoding.errors)
    line = 1
    try:
        for piece in pieces:
            recoded = decoder.decode(piece).encode("utf-8", "replace")
            line += recoded.count(b"\n")
            yield recoded
        yield decoder.decode(b"", final=True).encode("utf-8", "replace")
    except UnicodeDecodeError as error:
        # The decoder holds back what it could not decode; its own lines before that count too.
        line += error.object.count(b"\n", 0, error.start)
        raise _not_decodable(name, encoding.name, line) from None
    except UnicodeError:
        raise _not_decodable(name, encoding.name, line) from None


def decoded(pieces: Iterator[bytes], encoding: Encoding, name: str) -> Iterator[str]:
    """The text of `chunks`, piece by piece; TweetgenError, with the line, where it is not text."""
    decoder = codecs.getincrementaldecoder("utf-8")(encoding.errors)
    line = 1
    for piece in pieces:
        if encoding.name == "cp1252":
            text = encoding.decode(piece, line, name)
        else:
            try:
                text = decoder.decode(piece)
            except UnicodeDecodeError as error:
                line += error.object.count(b"\n", 0, error.start)
                raise _not_decodable(name, "utf-8", line) from None
        line += text.count("\n")
        yield text
    if decoder.getstate()[0]:
        raise _not_decodable(name, "utf-8", line)


def last_line_end(block: bytes) -> int:
    """The number of bytes up to and including the last line feed."""
    return block.rfind(b"\n") + 1


def blocks(pieces: Iterator[bytes], end_of: Callable[[bytes], int], name: str) -> Iterator[bytes]:
    """The pieces cut anew, so that each block ends where a line or row ends."""
    rest = b""
    for piece in pieces:
        rest += piece
        if end := end_of(rest):
            yield rest[:end]
            rest = rest[end:]
        elif len(rest) > MAX_RECORD:
            raise TweetgenError(
                f"{name} has a row of more than {MAX_RECORD / 2**20:.0f} MiB (a quote that never "
                f"closes?) that begins {rest[:40].decode('utf-8', 'replace')!r}. Correct it there."
            )
    if rest.strip(FILLING.encode()):
        yield rest


def refuse_binary(sample: bytes, name: str) -> None:
    """Raise TweetgenError if the first bytes of a file are not text in any encoding."""
    for magic, kind in NOT_TEXT.items():
        if sample[: len(magic)] == magic or sample[: len(magic)].lower() == magic:
            raise TweetgenError(f"{name} is {kind}, not text. Save it as CSV and give that.")
    if sample[257:262] == b"ustar":
        raise TweetgenError(f"{name} is a tar archive. Unpack it and give the files in it.")
    body = sample.rstrip(FILLING.encode())
    allowed = 0.3 if _is_utf8(body) else 0.02  # UTF-8 with a null here and there is still text
    if (controls := len(CONTROL.findall(body))) > allowed * len(body):
        place = CONTROL.search(body)
        assert place is not None
        raise TweetgenError(
            f"{name} is not text: byte 0x{place[0][0]:02x} at offset {place.start():,} and "
            f"{controls - 1:,} more in its first {len(body):,} bytes. Save it as CSV or plain text."
        )


def _is_utf8(sample: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)  # may end inside a character
    except UnicodeDecodeError:
        return False
    return True


def given_encoding(name: str, sample: bytes, source_name: str) -> str:
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


def marked_encoding(sample: bytes) -> str:
    """The encoding that a byte order mark, or UTF-16's null bytes, give away; "" if none."""
    for mark, name in BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            return name
    num_even, num_odd = sample[0::2].count(0), sample[1::2].count(0)
    clear = len(sample) // 2 * 0.1  # a tenth of the characters: spaces and line ends at least
    if max(num_even, num_odd) < max(2, clear) or min(num_even, num_odd) * 20 > clear:
        return ""
    return "utf-16-le" if num_odd > num_even else "utf-16-be"


def guess_encoding(pieces: Iterator[bytes], name: str) -> Encoding:
    """UTF-8 if nearly all of the file is, else cp1252; TweetgenError if it can be neither."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    num_bytes = num_damaged = num_extra = 0  # extra: bytes of valid characters after their first
    for piece in chain(pieces, [b""]):
        text = decoder.decode(piece, final=not piece)  # a file may end inside a character
        num_bytes += len(piece)
        num_extra += len(piece) - len(text)
        if "\ufffd" in text:
            num_damaged += text.count("\ufffd") - piece.count("\ufffd".encode())
    if num_damaged <= 0:
        return Encoding("utf-8")
    if num_extra > 2 * num_damaged:  # cp1252 text is next to never valid UTF-8 by accident
        return Encoding("utf-8", errors="replace")
    if num_damaged > 0.25 * num_bytes and num_damaged > 100:
        raise TweetgenError(
            f"{name} is neither UTF-8 nor a Western encoding. Give --encoding, such as cp1251, "
            "shift_jis or gb18030."
        )
    return Encoding("cp1252")
