"""Raw tweets out of whatever file people have: find_sources looks, read_batches reads.

CSV, TSV, JSON, JSON lines, plain text, X archives, each of them compressed or not. What cannot be
read safely is a TweetgenError with its line, never a silently wrong column.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import islice
from typing import Any, NamedTuple

from tweetgen.errors import TweetgenError
from tweetgen.reading.archives import check_path, members_of, shown
from tweetgen.reading.dates import limit, parse_date
from tweetgen.reading.encoding import FILLING
from tweetgen.reading.sniffing import PYTHON_REPR, look
from tweetgen.reading.source import Source, json_values, line_blocks
from tweetgen.reading.tables import parse_block
from tweetgen.reading.tweet_json import parse_lines, plain_texts, text_of, tweets_in
from tweetgen.settings import ReadingSettings

__all__ = ["Batch", "Source", "describe", "find_sources", "read_batches"]

BATCH_TWEETS = 4096
FORMAT_NAMES = {
    "csv": "CSV",
    "json": "JSON",
    "jsonl": "JSON lines",
    "txt": "plain text",
    "archive": "X archive",
}


class Batch(NamedTuple):
    """Neighbouring tweets of one source."""

    index: int  # type: ignore[assignment]  # from 0, in the order of the file
    texts: list[str]
    outside: int  # tweets left out by --since and --until
    joined: int  # rows whose unquoted separators were taken as part of the text


def find_sources(paths: Sequence[str], settings: ReadingSettings) -> list[Source]:
    """What to read, in the order given; TweetgenError for what cannot be read safely.

    A zip of several tables is several sources, an X archive is one.
    """
    since, until = limit(settings.since, "--since"), limit(settings.until, "--until")
    if since and until and since > until:
        raise TweetgenError(f"--since {since} is after --until {until}. Exchange them.")
    sources = []
    for path in paths:
        check_path(path)
        parts, others = members_of(path)
        if parts and settings.format in ("auto", "archive"):
            sources.append(look(path, shown(path), tuple(parts), settings))
        elif others:
            sources += [look(path, shown(path, name), (name,), settings) for name in others]
        else:
            raise TweetgenError(
                f"{path} is a folder or zip without tweets. Give the files, or an X archive."
            )
    return sources


def describe(source: Source, num_tweets: int) -> str:
    """One line for the user: `airline.csv: CSV, UTF-8, column 'text', 14,640 tweets`."""
    encoding = source.encoding.name
    parts = [FORMAT_NAMES[source.format], re.sub(r"utf-(\d+).*", r"UTF-\1", encoding)]
    if source.encoding.errors == "replace" and encoding == "utf-8":
        parts[1] += " (partly damaged)"
    if source.table and source.table.separator != ",":
        parts[0] = {"\t": "TSV"}.get(source.table.separator, f"CSV by {source.table.separator!r}")
    if source.table and not source.has_header:
        parts.append(f"no header, column {source.column}")
    elif source.column and source.format != "archive":
        parts.append(f"column {source.column!r}")
    if source.mojibake:
        parts.append(f"mojibake ({source.mojibake})")
    return f"{source.name}: {', '.join(parts)}, {num_tweets:,} tweets"


def read_batches(
    source: Source, settings: ReadingSettings, share: int = 0, num_shares: int = 1
) -> Iterator[Batch]:
    """The batches number share, share + num_shares, ... of a source, about 4,096 raw texts each.

    Batches are the same for any number of shares; the others cost little more than unpacking.
    """
    since, until = limit(settings.since, "--since"), limit(settings.until, "--until")
    line_formats = ("csv", "jsonl", "txt")
    parts = _line_parts if source.format in line_formats else _json_parts
    for index, texts, dates, joined in parts(source, share, num_shares):
        outside = 0
        if since or until:
            kept = [_is_inside(day, source, since, until) for day in dates]
            outside = kept.count(False)
            texts = [text for text, keep in zip(texts, kept, strict=True) if keep]
        if source.python_reprs:
            texts = [_from_repr(text) for text in texts]
        yield Batch(index, texts, outside, joined)


Part = tuple[int, list[str], list[str], int]  # index, texts, dates, joined


def _line_parts(source: Source, share: int, num_shares: int) -> Iterator[Part]:
    """A source that is read in lines: the blocks of other shares are not even decoded."""
    for index, (line, block) in enumerate(line_blocks(source)):
        if index % num_shares != share:
            continue
        text = source.encoding.decode(block, line, source.name)
        if source.table:
            yield index, *parse_block(text, source.table, line, source.name)
        elif source.format == "jsonl":
            yield index, *_json_lines(text, line, source), 0
        else:
            lines = text.rstrip(FILLING).split("\n")
            yield index, [line.rstrip("\r") for line in lines if line.strip()], [], 0


def _json_lines(text: str, first_line: int, source: Source) -> tuple[list[str], list[str]]:
    """The texts and, if they are needed, the dates of lines of JSON."""
    values, lines = parse_lines(text, first_line, source.name)
    if not source.date_column and (texts := plain_texts(values, source.column, text)) is not None:
        return texts, []
    places = ((source.name, line, value) for line, value in zip(lines, values, strict=True))
    return _texts_and_dates(list(_tweets(places)), source)


def _json_parts(source: Source, share: int, num_shares: int) -> Iterator[Part]:
    """A source that is one text of JSON, or several: every value is parsed to find the next."""
    tweets = _tweets(json_values(source))
    index = 0
    while found := list(islice(tweets, BATCH_TWEETS)):
        if index % num_shares == share:
            yield index, *_texts_and_dates(found, source), 0
        index += 1


Place = tuple[str, int, Any]  # file, line, tweet


def _tweets(values: Iterable[Place]) -> Iterator[Place]:
    return ((name, line, tweet) for name, line, value in values for tweet in tweets_in(value))


def _texts_and_dates(found: list[Place], source: Source) -> tuple[list[str], list[str]]:
    """The texts and, if they are needed, the dates; TweetgenError where there is no text."""
    texts = []
    for name, line, tweet in found:
        text = text_of(tweet, source.column)
        if text is None:
            raise TweetgenError(
                f"line {line:,} of {name} has no text under {source.column!r}. "
                "Delete it, or give another key with --text_column."
            )
        texts.append(text)
    if not source.date_column:
        return texts, []
    tweets = (tweet if isinstance(tweet, dict) else {} for _, _, tweet in found)
    return texts, [str(tweet.get(source.date_column)) for tweet in tweets]


def _is_inside(day: str, source: Source, since: date | None, until: date | None) -> bool:
    """Whether a date can be read and lies between the limits, both included."""
    found = parse_date(day, source.date_order)
    return found is not None and (not since or since <= found) and (not until or found <= until)


def _from_repr(text: str) -> str:
    r"""`b'caf\xc3\xa9'` -> `café`; anything else as it is."""
    if not PYTHON_REPR.fullmatch(text):
        return text
    try:
        characters = text[2:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
        return characters.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
