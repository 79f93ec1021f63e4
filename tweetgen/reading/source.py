"""A file of tweets whose layout is known, and its raw content in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tweetgen.reading.archives import open_stream, shown
from tweetgen.reading.encoding import Encoding, blocks, chunks, decoded, last_line_end
from tweetgen.reading.tables import Table, end_of_rows
from tweetgen.reading.tweet_json import JsonStream, parse_lines

READ_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file (or a zip's member, or a whole X archive) and everything found by looking at it."""

    path: str
    name: str  # file name, or archive!member
    members: tuple[str, ...] = ("",)  # parts of a zip or folder, in order; "" is the file itself
    format: str  # "csv" (any separator), "json", "jsonl", "txt" or "archive"
    encoding: Encoding
    batch_bytes: int = READ_BYTES  # so many hold about 4,096 tweets
    table: Table | None = None  # for "csv"
    header_lines: int = 0
    column: str = ""  # name of the text column or JSON key; its number where there is no header
    has_header: bool = False
    date_column: str = ""  # JSON key; of a table, `table.date` is the column
    date_order: str = ""  # which number of "14/2/17" is first, "day" or "month"
    mojibake: str = ""  # the family of `mojibake.detect`
    python_reprs: bool = False  # texts are written b'...'


def line_blocks(source: Source) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines or rows, without the header, each with the number of its first line."""
    end_of = partial(end_of_rows, table=source.table) if source.table else last_line_end
    line, header_lines = 1, source.header_lines
    with open_stream(source.path, source.members[0]) as stream:
        pieces = chunks(stream, source.encoding, source.batch_bytes, source.name)
        for block in blocks(pieces, end_of, source.name):
            while header_lines and block:
                block = block[block.find(b"\n") + 1 or len(block) :]
                header_lines -= 1
                line += 1
            if block:
                yield line, block
            line += block.count(b"\n")


def json_values(source: Source) -> Iterator[tuple[str, int, Any]]:
    """Every value of all members, with the name of its file and its line."""
    if source.format == "jsonl":
        for line, block in line_blocks(source):
            text = source.encoding.decode(block, line, source.name)
            for value, number in zip(*parse_lines(text, line, source.name), strict=True):
                yield source.name, number, value
        return
    for member in source.members:
        name = shown(source.path, member)
        with open_stream(source.path, member) as stream:
            pieces = chunks(stream, source.encoding, READ_BYTES, name)
            for line, value in JsonStream(decoded(pieces, source.encoding, name), name):
                yield name, line, value
