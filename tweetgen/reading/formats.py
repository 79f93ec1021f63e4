"""What a file is, by its first bytes, and its raw texts part by part, read once from its start."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from tweetgen.errors import TweetgenError
from tweetgen.reading import plain, sheets, tweet_json
from tweetgen.reading.archives import Stream
from tweetgen.reading.columns import Sample, find_date, find_text
from tweetgen.reading.encoding import BLOCK_BYTES, FILLING, TextBlocks
from tweetgen.reading.json_values import Broken, JsonStream, format_of, lines_of_json
from tweetgen.reading.layout import Layout, find_layout, layout_of_rows
from tweetgen.reading.row_starts import with_text
from tweetgen.reading.tables import read_rows
from tweetgen.settings import ReadingSettings

SAMPLE_LINES = 10_000  # looking at more of them took seconds where rows are short
SAMPLE_TWEETS = 500
HEAD_CHARACTERS = 2**18  # looked at before a format is chosen, at least
MAX_UNPAIRED_SHARE = 0.25  # of texts with an odd number of quotes; 1 % is usual
LOOKED_AT = 2**14  # characters that tell what stands below foreign lines
MAX_FOREIGN = 30  # lines above JSON
SPACE = "\ufeff \t\r\n" + FILLING
NO_TEXT = "record without a text"
MAX_ODD, MAX_ODD_SHARE = 3, 0.01  # records without a text that a dump may have
TABLE_NAME = re.compile(r"\.(?:csv|tsv|tab)(?:\.(?:gz|bz2|xz))?$", re.I)


@dataclass
class Part:
    """Some neighbouring tweets of a file."""

    texts: Any  # list of str, or Arrow's
    kind: Callable[[], str]  # how the file is read, as far as it has been
    dates: Sequence[str] = ()  # one for each text, or none
    date_order: str = ""
    counts: Counter[str] = field(default_factory=Counter)  # of what is left out; "": joined rows


@dataclass(frozen=True)
class _File:
    """A file of text that has been opened."""

    name: str
    settings: ReadingSettings
    blocks: TextBlocks
    head: str
    is_complete: bool  # the head is all of it
    is_archive: bool

    def described(self, what: str, column: str = "") -> str:
        return ", ".join(filter(None, [what, self.blocks.described, column]))


def parts_of(
    stream: Stream, name: str, settings: ReadingSettings, is_archive: bool = False
) -> Iterator[Part]:
    """The raw texts of one file; TweetgenError if they cannot be told for sure."""
    start = stream.read(BLOCK_BYTES)
    if not start.strip(b"\x00\x1a \t\r\n\xef\xbb\xbf\xfe\xff"):
        raise TweetgenError(f"{name} is empty. Give a file with tweets.")
    if sheet := sheets.kind_of(start, name):
        rows, unread = sheets.read(sheet, start + stream.read_all(), name)
        if (layout := layout_of_rows(rows)) and layout.rows:
            text, date, order, column = _columns_of(layout, name, settings)
            texts = [row.fields[text] for row in layout.rows]
            dates = [row.fields[date] for row in layout.rows if date >= 0]
            left_out = Counter(f"sheet {other!r}" for other in unread)
            yield Part(texts, lambda: f"{sheet}, {column}", dates, order, left_out)
        return
    blocks = TextBlocks(stream, start, settings.encoding, name)
    pieces = iter(blocks)
    head, more = "", next(pieces, None)
    while more is not None and len(head) < HEAD_CHARACTERS:
        head, more = head + more, next(pieces, None)
    rest = chain([head], [] if more is None else [more], pieces)
    file = _File(name, settings, blocks, head, more is None, is_archive)
    format = settings.format if settings.format != "auto" else _format(file)
    if format in ("json", "jsonl", "archive"):
        yield from _json_parts(file, rest, format)
    else:
        yield from _text_parts(file, rest, format)


def _format(file: _File) -> str:
    """The format by how the text begins, foreign lines above it or not; "" for lines."""
    text = file.head.lstrip(SPACE)
    if found := format_of(text, file.is_complete):
        return found
    for _ in range(MAX_FOREIGN):
        text = text[:LOOKED_AT].partition("\n")[2].lstrip(SPACE)
        if found := format_of(text, False):
            return found if plain.looks_like("JSON or Python", text) else ""
    return ""


def _json_parts(file: _File, pieces: Iterable[str], format: str) -> Iterator[Part]:
    if format == "jsonl":
        yield from _Tweets(file, "JSON lines").parts(
            lines_of_json(plain.line_blocks(pieces, file.name))
        )
        return
    is_archive = file.is_archive or format == "archive"
    batches = JsonStream(pieces, file.name)
    pairs = (([line for line, _ in batch], [value for _, value in batch]) for batch in batches)
    yield from _Tweets(file, "X archive" if is_archive else "JSON").parts(pairs)


class _Tweets:
    """The tweets among values of JSON, and what else is among them."""

    def __init__(self, file: _File, kind: str) -> None:
        self._file = file
        self._kind = kind
        self._place: tweet_json.Place | None = None
        self._key = self._date = self._order = ""
        self._kinds: set[str] = set()  # of records that have a text
        self._num_records = self._num_odd = 0
        self._first_odd = ""
        self._elsewhere: Counter[str] = Counter()

    def parts(self, batches: Iterable[tuple[Sequence[int], list[Any]]]) -> Iterator[Part]:
        """The parts of `lines_of_json` or the like."""
        for lines, values in batches:
            part = self._part(lines, list(map(tweet_json.named, values)))
            if self._place is not None and (len(part.texts) or part.counts):
                yield part
        num_odd = self._num_odd
        if num_odd > MAX_ODD and num_odd > MAX_ODD_SHARE * self._num_records:
            raise TweetgenError(
                f"{self._first_odd}, and {num_odd - 1:,} more. "
                "Correct or delete them, or give another key with --text_column."
            )

    def _described(self) -> str:
        is_said = self._key and self._kind != "X archive"
        return self._file.described(self._kind, f"column {self._key!r}" if is_said else "")

    def _part(self, lines: Sequence[int], records: list[Any]) -> Part:
        if self._place is None and records:
            self._look([record for record in records if not isinstance(record, Broken)])
        part = Part([], self._described, (), self._order, self._elsewhere)
        self._elsewhere = Counter()
        self._num_records += len(records)
        texts = self._place and tweet_json.plain_texts(records, self._place, self._key)
        if texts is not None:
            part.texts, tweets = texts, records
        else:
            tweets = []
            for record, line in zip(records, lines, strict=True):
                found = self._tweets_at(record)
                readable = [(tweet, text) for tweet, text in found if text is not None]
                if not readable:
                    self._leave_out(record, line, part)
                elif len(readable) < len(found):
                    part.counts[NO_TEXT] += len(found) - len(readable)
                tweets += [tweet for tweet, _ in readable]
                part.texts += [text for _, text in readable]
        part.dates = [_shown_value(tweet, self._date) for tweet in tweets if self._date]
        return part

    def _tweets_at(self, record: Any) -> list[tuple[Any, str | None]]:
        return tweet_json.tweets_at(record, self._place, self._key) if self._place else []

    def _look(self, records: list[Any]) -> None:
        """Find where the tweets are, by the first values."""
        place = tweet_json.find_place(records[:SAMPLE_TWEETS])
        if place.is_vague and len(records) > SAMPLE_TWEETS:
            place = tweet_json.find_place(records)
        objects = [tweet for record in records for tweet in tweet_json.objects_at(record, place)]
        if not objects and not any(isinstance(record, str) for record in records):
            return
        self._place = place
        if place.num_elsewhere:
            self._elsewhere[f"texts elsewhere ({place.elsewhere})"] = place.num_elsewhere
        names = list(dict.fromkeys(key for tweet in objects for key in tweet))
        columns = [[_shown_value(t, name) for t in objects[:SAMPLE_TWEETS]] for name in names]
        text, date, self._order = _columns(
            Sample(names, columns, self._file.name), self._file.settings, place.key
        )
        self._key = names[text] if names else ""
        self._date = names[date] if date >= 0 else ""
        with_text = [r for r in records if any(t is not None for _, t in self._tweets_at(r))]
        if not with_text:
            raise TweetgenError(
                f"{self._file.name} has no texts (found: {', '.join(names)[:300]}). "
                "Save the tweets as JSON lines with a key 'text'."
            )
        self._kinds = {tweet_json.kind_of(record) for record in with_text}

    def _leave_out(self, record: Any, line: int, part: Part) -> None:
        """Count a record without a text: a notice, a kind of its own, a cut or an odd one."""
        what, reason = NO_TEXT, f"has no text under {self._key!r}"
        if isinstance(record, Broken):
            what = "cut record" if record.is_cut else "broken record"
            reason = f"is not valid JSON ({record.reason})"
        elif (kind := tweet_json.kind_of(record)) and kind not in self._kinds:
            what = "notice" if kind == "notice" else f"{kind!r} record"
        part.counts[what] += 1
        if what in ("broken record", NO_TEXT):
            self._num_odd += 1
            self._first_odd = self._first_odd or f"line {line:,} of {self._file.name} {reason}"


def _shown_value(tweet: Any, key: str) -> str:
    value = tweet_json.joined(tweet.get(key)) if isinstance(tweet, dict) else None
    if isinstance(value, dict) and "$date" in value:  # mongoexport
        value = value["$date"]
    return str(value) if isinstance(value, str | int | float) else ""


def _columns(sample: Sample, settings: ReadingSettings, key: str = "") -> tuple[int, int, str]:
    """The columns of the text and of the date, and the order of the date's numbers."""
    text = find_text(sample, settings.text_column or key) if sample.names else -1
    return text, *find_date(sample, bool(settings.since or settings.until))


def _columns_of(layout: Layout, name: str, settings: ReadingSettings) -> tuple[int, int, str, str]:
    """The same of a table, and how the column of the text is called."""
    table, width = layout.table, layout.table.num_columns
    rows = [(row.fields + [""] * width)[:width] for row in layout.rows[:SAMPLE_TWEETS]]
    columns = [[row[index] for row in rows] for index in range(width)]
    text, date, order = _columns(Sample(table.names, columns, name), settings)
    column = table.names[text].strip() or str(text + 1)
    said = f"column {column!r}" if table.has_header else f"no header, column {column}"
    return text, date, order, said


def _text_parts(file: _File, pieces: Iterable[str], format: str) -> Iterator[Part]:
    settings, (head, is_complete) = file.settings, _first_lines(file)
    blocks = plain.line_blocks(pieces, file.name)
    if format == "" and plain.has_marks(head):
        for texts in plain.marked_texts(blocks):
            yield Part(texts, lambda: file.described("training text"))
        return
    must = format in ("csv", "tsv")
    if format != "txt":
        separator = "\t" if format == "tsv" else _given_separator(settings)
        is_named = TABLE_NAME.search(file.name) is not None
        layout = find_layout(head, separator, must=must, is_complete=is_complete, is_named=is_named)
        if layout and not layout.rows and is_complete:
            raise TweetgenError(f"{file.name} has a header but no tweets. Give a file with tweets.")
        if layout:
            yield from _table_parts(file, blocks, layout, head)
            return
    if must or settings.since or settings.until or settings.text_column:
        what = "rows" if must else "columns, only lines of text"
        raise TweetgenError(f"{file.name} has no {what}. Check --format and --separator.")
    if format != "txt":
        plain.refuse_structure(head if is_complete else head.rpartition("\n")[0], file.name)
    for texts in plain.lines_of(blocks):
        yield Part(texts, lambda: file.described("plain text"))


def _first_lines(file: _File) -> tuple[str, bool]:
    """The first whole lines of a file, and whether they are all of it."""
    text = file.head if file.is_complete else file.head[: file.head.rfind("\n") + 1] or file.head
    *lines, rest = text.split("\n", SAMPLE_LINES)
    is_long = len(lines) == SAMPLE_LINES and rest != ""
    return ("\n".join([*lines, ""]), False) if is_long else (text, file.is_complete)


def _given_separator(settings: ReadingSettings) -> str:
    """The character given as --separator; "" for auto."""
    separators = {"auto": "", "\\t": "\t", "tab": "\t"}
    separator = separators.get(settings.separator, settings.separator)
    if settings.separator != "auto" and (len(separator) != 1 or separator in '"\r\n'):
        raise TweetgenError(
            f"--separator {settings.separator!r} is not one character. Try , or ; or | or \\t."
        )
    return separator


def _table_parts(file: _File, blocks: Iterable[str], layout: Layout, head: str) -> Iterator[Part]:
    text, date, order, column = _columns_of(layout, file.name, file.settings)
    table = with_text(layout, text, date, head)
    what = {",": "CSV", "\t": "TSV"}.get(table.separator, f"CSV by {table.separator!r}")
    kind = partial(file.described, what, column)
    is_raw = table.separator == "\t" or not table.multiline  # each line is a row
    has_raw_quotes = not is_raw and not all(row.strict for row in layout.rows)
    for number, (texts, dates, counts) in enumerate(read_rows(blocks, table, file.name)):
        if number == 0 and has_raw_quotes:
            _check_quotes(texts[:SAMPLE_TWEETS], file.name)
        yield Part(texts, kind, dates, order, counts)


def _check_quotes(texts: Sequence[str], name: str) -> None:
    """Raise TweetgenError if texts were plainly cut at quotes of their own."""
    num_odd = sum(text.count('"') % 2 for text in texts)
    if num_odd > MAX_ODD and num_odd > MAX_UNPAIRED_SHARE * len(texts):
        raise TweetgenError(
            f"{name} has quotes inside quoted texts, and its rows cannot be told apart. "
            "Double the quotes inside the texts, or save it as JSON."
        )
