"""What a file of tweets is, found by looking at it: format, encoding, layout, columns."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from tweetgen.errors import TweetgenError
from tweetgen.reading import mojibake
from tweetgen.reading.archives import open_stream
from tweetgen.reading.columns import Sample, find_date, find_text
from tweetgen.reading.encoding import (
    Encoding,
    blocks,
    chunks,
    given_encoding,
    guess_encoding,
    last_line_end,
    marked_encoding,
    refuse_binary,
)
from tweetgen.reading.layout import Layout, find_layout, row_start
from tweetgen.reading.source import Source, json_values
from tweetgen.reading.tables import Table
from tweetgen.reading.tweet_json import ASSIGNMENT, text_of, tweets_in
from tweetgen.settings import ReadingSettings

SAMPLE_BYTES = 2**20
CHECK_BYTES = 2**16  # decoded in the processor's cache: 1.9 GB a second, of 2**20 0.4 GB
SAMPLE_LINES = 10_000  # looking at more of them took seconds where rows are short
SAMPLE_TWEETS = 500
NUM_MOJIBAKE_ROWS = 200  # not ASCII; enough for `mojibake.detect`
NOT_ASCII = bytes(range(0x80, 0x100))
BATCH_TWEETS = 4096
BATCH_BYTES = (2**16, 2**23)  # least and most

JSON_ARRAY = re.compile(r"\s*\[\s*[\[{\"\]]")
JSON_OBJECT = re.compile(r"\s*\{\s*[\"}]")
PYTHON_REPR = re.compile(r"b'.*'|b\".*\"", re.S)  # "b'caf\xc3\xa9'", printed by a script


def look(path: str, name: str, members: tuple[str, ...], settings: ReadingSettings) -> Source:
    """The source that a file, a member of a zip, or the members of an X archive are."""
    start = _start(path, members[0])
    if not start.strip(b"\x00\x1a \t\r\n\xef\xbb\xbf\xfe\xff"):
        raise TweetgenError(f"{name} is empty. Give a file with tweets.")
    if settings.encoding == "auto" and not marked_encoding(start):
        refuse_binary(start, name)
    encoding = _encoding(start, settings, name)
    first = _first_chunk(start, encoding, name)
    encoding = replace(encoding, carriage_returns=_ends_with_returns(first))
    text = _lenient(encoding, first)
    format = _format(text, settings, name)
    source = Source(path=path, name=name, members=members, format=format, encoding=encoding)
    if settings.encoding == "auto" and source.format != "archive":
        source = replace(source, encoding=_whole_encoding(source))
    if source.format in ("archive", "json", "jsonl"):
        return _json_source(source, settings, text)
    return _text_source(source, settings, *_sample_text(source))


def _start(path: str, member: str) -> bytes:
    with open_stream(path, member) as stream:
        return stream.read(SAMPLE_BYTES)


def _encoding(start: bytes, settings: ReadingSettings, name: str) -> Encoding:
    """The encoding as given, or by the first bytes alone."""
    if settings.encoding != "auto":
        return Encoding(given_encoding(settings.encoding, start, name))
    if marked := marked_encoding(start):
        return Encoding(marked, errors="strict" if marked == "utf-8" else "replace")
    if len(start) == SAMPLE_BYTES:  # it may end inside a character
        start = start.rstrip(NOT_ASCII)
    return guess_encoding(iter([start]), name)


def _ends_with_returns(start: bytes) -> bool:
    """Whether lines end with CR alone, as on old Macs; LF may still be inside quotes."""
    num_returns, num_feeds = start.count(b"\r"), start.count(b"\n")
    if b"\r\n" in start or num_returns == 0 or num_returns < num_feeds:
        return False
    return num_feeds == 0 or start.index(b"\r") < start.index(b"\n")


def _whole_encoding(source: Source) -> Encoding:
    """The encoding by the whole file: the first byte that is not UTF-8 may come late.

    Not of packed JSON, which is rarely anything else: unpacking twice would take 7 % of the time.
    """
    if source.encoding.name not in ("utf-8", "cp1252"):
        return source.encoding
    with open_stream(source.path, source.members[0]) as stream:
        if stream.is_packed and source.format in ("json", "jsonl"):
            return source.encoding
        pieces: Iterator[bytes] = iter(lambda: stream.read(CHECK_BYTES), b"")
        found = guess_encoding(pieces, source.name)
    return replace(found, carriage_returns=source.encoding.carriage_returns)


def _sample_text(source: Source) -> tuple[str, bool]:
    """The first whole lines of a file, and whether they are all of it."""
    with open_stream(source.path, source.members[0]) as stream:
        pieces = chunks(stream, source.encoding, SAMPLE_BYTES, source.name)
        # Two blocks and a third to see if there is more; the second may be the file's last line.
        first = list(islice(blocks(pieces, last_line_end, source.name), 3))
    text = _lenient(source.encoding, b"".join(first[:2]))
    lines = text.split("\n", SAMPLE_LINES)
    if len(lines) > SAMPLE_LINES and lines.pop():
        return "\n".join([*lines, ""]), False
    return text, len(first) < 3


def _first_chunk(start: bytes, encoding: Encoding, name: str) -> bytes:
    """The first bytes of a file in UTF-8 or cp1252; they may end inside a character."""
    lenient = replace(encoding, errors="replace")
    return b"".join(chunks(io.BytesIO(start), lenient, SAMPLE_BYTES, name))


def _lenient(encoding: Encoding, block: bytes) -> str:
    """The text of a block whatever is wrong with it; reading will say where."""
    return replace(encoding, errors="replace").decode(block, 1, "")


def _format(text: str, settings: ReadingSettings, name: str) -> str:
    """The format as asked for, or by how the text begins; "txt" may still turn out a table."""
    if settings.format != "auto":
        return "csv" if settings.format == "tsv" else settings.format
    if assigned := ASSIGNMENT.match(text.lstrip("\ufeff \t\r\n")):
        if "tweet" not in assigned[1]:
            raise TweetgenError(f"{name} holds {assigned[1]}, not tweets. Give tweets.js instead.")
        return "archive"
    if JSON_ARRAY.match(text):
        return "json"
    if not JSON_OBJECT.match(text):
        return "txt"
    lines = [line for line in text.split("\n") if line.strip()][:2]
    try:
        return "jsonl" if isinstance(json.loads(lines[0]), dict) else "json"
    except (ValueError, RecursionError):
        return "jsonl" if len(lines) > 1 and JSON_OBJECT.match(lines[1]) else "json"


def _json_source(source: Source, settings: ReadingSettings, text: str) -> Source:
    """The source with its key, its date and what its first tweets show."""
    found = (tweet for _, _, value in json_values(source) for tweet in tweets_in(value))
    tweets = list(islice(found, BATCH_TWEETS))
    if not tweets:
        raise TweetgenError(f"{source.name} holds no tweets. Give a file with tweets.")
    names = list(dict.fromkeys(key for tweet in tweets if isinstance(tweet, dict) for key in tweet))
    few = tweets[:SAMPLE_TWEETS]
    values = [[_shown_value(tweet, name) for tweet in few] for name in names]
    sample = Sample(names, values, source.name)
    key = names[find_text(sample, settings.text_column)] if names else ""
    source = replace(
        source,
        column=key,
        has_header=True,
        batch_bytes=_batch_bytes(len(text), text.count("\n") + 1),
    )
    if settings.since or settings.until:
        date, order = find_date(sample)
        source = replace(source, date_column=names[date], date_order=order)
    return _with_repairs(source, [text_of(tweet, key) or "" for tweet in tweets])


def _shown_value(tweet: Any, key: str) -> str:
    value = tweet.get(key) if isinstance(tweet, dict) else None
    return str(value) if isinstance(value, str | int | float) else ""


def _text_source(source: Source, settings: ReadingSettings, text: str, complete: bool) -> Source:
    """The source as a table if its text is one, else as plain text."""
    separator = "\t" if settings.format == "tsv" else _given_separator(settings)
    must = source.format == "csv"
    layout = None
    if settings.format != "txt":
        layout = find_layout(text, separator, must=must, complete=complete)
    if layout and not layout.rows and complete:
        raise TweetgenError(f"{source.name} has a header but no tweets. Give a file with tweets.")
    if layout is None:
        if must or settings.since or settings.until or settings.text_column:
            what = "rows" if must else "columns, only lines of text"
            raise TweetgenError(f"{source.name} has no {what}. Check --format and --separator.")
        lines = [line for line in text.split("\n") if line.strip()]
        size = _batch_bytes(len(text), len(lines))
        return _with_repairs(replace(source, batch_bytes=size), lines[:BATCH_TWEETS])
    return _table_source(replace(source, format="csv"), settings, layout, text)


def _given_separator(settings: ReadingSettings) -> str:
    """The character given as --separator; "" for auto."""
    if settings.separator == "auto":
        return ""
    separator = {"\\t": "\t", "tab": "\t"}.get(settings.separator, settings.separator)
    if len(separator) != 1 or separator in '"\r\n':
        raise TweetgenError(
            f"--separator {settings.separator!r} is not one character. Try , or ; or | or \\t."
        )
    return separator


def _table_source(source: Source, settings: ReadingSettings, layout: Layout, text: str) -> Source:
    """The source with its columns and what its first rows show."""
    width = layout.table.num_columns
    rows = [(row.fields + [""] * width)[:width] for row in layout.rows[:SAMPLE_TWEETS]]
    columns = [[row[index] for row in rows] for index in range(width)]
    sample = Sample(layout.names, columns, source.name)
    index = find_text(sample, settings.text_column)
    table = replace(layout.table, text=index)
    table = replace(table, row_start=row_start(layout.rows, table))
    if settings.since or settings.until:
        date, order = find_date(sample)
        table = replace(table, date=date)
        source = replace(source, date_order=order)
    source = replace(
        source,
        table=replace(table, multiline=not _is_unquoted(layout, table, text)),
        header_lines=layout.header_lines,
        column=layout.names[index].strip() or str(index + 1),
        has_header=layout.has_header,
        batch_bytes=_batch_bytes(len(text), len(layout.rows)),
    )
    fields = [row.fields for row in layout.rows[:BATCH_TWEETS]]
    return _with_repairs(source, [row[index] for row in fields if len(row) > index])


def _is_unquoted(layout: Layout, table: Table, text: str) -> bool:
    """Whether the last column is all the rest of its line, separators and quotes included."""
    if not table.text_is_last:
        return False
    separators = table.num_columns - 1
    joined = any(len(row.fields) > table.num_columns for row in layout.rows)
    lines = (line for line in text.split("\n") if line.strip())
    return (
        joined
        and not any("\n" in row.record for row in layout.rows)
        and all(line.count(table.separator) >= separators for line in lines)
    )


def _batch_bytes(num_bytes: int, num_tweets: int) -> int:
    """The size of a block that holds about 4,096 tweets."""
    least, most = BATCH_BYTES
    return min(max(BATCH_TWEETS * num_bytes // max(num_tweets, 1), least), most)


def _with_repairs(source: Source, texts: list[str]) -> Source:
    """The source with what its first texts show to be wrong with all of them."""
    other = (text for text in texts if not text.isascii())
    num_reprs = sum(PYTHON_REPR.fullmatch(text) is not None for text in texts)
    return replace(
        source,
        mojibake=mojibake.detect(islice(other, NUM_MOJIBAKE_ROWS)),
        python_reprs=num_reprs > len(texts) / 2,
    )
