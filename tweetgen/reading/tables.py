"""Rows of CSV and TSV files: by Arrow where they keep the rules, one by one where they do not."""

import csv
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, NamedTuple

from tweetgen.errors import TweetgenError
from tweetgen.reading.encoding import FILLING, MAX_RECORD

NUMBER = re.compile(r"\s*\"?-?\d[\d.]*(?:[eE][+-]?\d+)?\"?\s*")
# A carriage return inside a row; rows end with LF after up to four of them.
LONE_RETURN = re.compile(r"\r(?!\r{0,3}(?:\n|\Z))")
RETURN_MARK = "\udc0d"  # stands for it while csv parses; decoded text has no lone surrogates
# A whole row that a spreadsheet put into one cell: `"1,""Rain, again"",x";;;`
ROW_IN_A_CELL = re.compile(r'"((?:[^"]|"")*+)"[;,\t]*+\r?')
MOST_LINES = 200  # of one text; more are a quote that never closes
EMPTY_CELLS = re.compile(r"[;\t]++\r?\Z")


@dataclass(frozen=True, kw_only=True)
class Table:
    """How a table of tweets is laid out."""

    separator: str
    names: Sequence[str]  # of its columns, "" for each where there is no header
    has_header: bool = False
    header_lines: int = 0  # before the first row, with what stands above the header
    text: int = 0  # index of the column
    date: int = -1  # -1: there is none
    quoted: bool = True  # False: quotes are characters like any other
    multiline: bool = True  # False: every line is a row, whatever its quotes
    numeric_start: bool = False  # the first column of every row is a number
    row_start: str = ""  # pattern of the columns before the text, if it is unmistakable
    padded: bool = False  # quotes open after a space: `1, "a, b"`
    backslash: bool = False  # quotes inside a text are written \"
    in_cells: bool = False  # each row is the content of one quoted cell

    @property
    def num_columns(self) -> int:
        return len(self.names)

    @property
    def text_is_last(self) -> bool:
        return self.text == self.num_columns - 1


class Rows(NamedTuple):
    """What a block of a table holds."""

    texts: Any  # list of str, or Arrow's
    dates: Any  # one for each text, if the table has a date column, else empty
    num_joined: int = 0  # rows whose last column held unquoted separators
    num_headers: int = 0  # copies of the header among the rows, as in files that were joined


def read_rows(blocks: Iterable[str], table: Table, name: str) -> Iterator[Rows]:
    """The texts and dates of a table from blocks of its text, whole lines but for the last.

    Raises:
        TweetgenError: with its line, a row that cannot be read safely.
    """
    line, rest, skip = 1, "", table.header_lines
    for block, following in pairwise(chain(blocks, [""])):
        text = rest + (unwrapped(block) if table.in_cells else block)
        while skip and text:
            text = text[text.find("\n") + 1 or len(text) :]
            skip -= 1
            line += 1
        text = text if following else text.rstrip(FILLING)
        rows, num_read = _parsed(text, table, line, name, not following)
        yield rows
        line += text.count("\n", 0, num_read)
        rest = text[num_read:]
        if len(rest) > MAX_RECORD:
            raise TweetgenError(
                f"{name} has a row of more than 16 MiB near line {line:,}: a quote that never "
                "closes? Check it, or give --format."
            )


def unwrapped(text: str) -> str:
    """Rows out of the cells that hold one each."""

    def row(line: str) -> str:
        match = ROW_IN_A_CELL.fullmatch(line)
        return match[1].replace('""', '"') if match else EMPTY_CELLS.sub("", line)

    return "\n".join(map(row, text.split("\n")))


def _parsed(text: str, table: Table, first_line: int, name: str, is_last: bool) -> tuple[Rows, int]:
    """The rows of a block, and how many characters of it they take: not an unfinished row's."""
    num_characters = len(text)
    has_returns = text.count("\r") != text.count("\r\n")
    if has_returns:
        text = LONE_RETURN.sub(RETURN_MARK, text)  # of the same length
    lines = text.removesuffix("\n").split("\n") if text else []
    records, open_line = find_records(lines, table)
    if not is_last and open_line < len(lines):
        num_characters -= sum(len(line) + 1 for line in lines[open_line:])
        records = [record for record in records if record[0] < open_line]
    num_joined = 0
    if (rows := strict_fields([record for _, record in records], table)) is not None:
        rows = [row for row in rows if row]  # blank lines
    if rows is None or not set(map(len, rows)) <= {table.num_columns}:
        rows = []
        for index, record in records:
            if not is_blank(record):
                fields, joined = parse_record(record, table, first_line + index, name)
                rows.append(fields)
                num_joined += joined
    num_rows = len(rows)
    if table.has_header:
        head = list(table.names)
        rows = [row for row in rows if row != head]
    texts = [row[table.text] for row in rows]
    if has_returns:
        texts = [text.replace(RETURN_MARK, "\r") for text in texts]
    dates = [row[table.date] for row in rows] if table.date >= 0 else []
    return Rows(texts, dates, num_joined, num_rows - len(rows)), num_characters


def parse_fields(records: Sequence[str], table: Table) -> list[list[str]]:
    """The fields of records, by the strict rules of CSV; csv.Error if they break them."""
    previous = csv.field_size_limit(MAX_RECORD)
    try:
        return list(
            csv.reader(
                records, _dialect_of(table.separator, table.quoted, table.padded, table.backslash)
            )
        )
    finally:
        csv.field_size_limit(previous)


@functools.lru_cache
def _dialect_of(separator: str, quoted: bool, padded: bool, backslash: bool) -> Any:
    return csv.reader(
        (),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        escapechar="\\" if backslash else None,
        skipinitialspace=padded,
        strict=True,
    ).dialect


def strict_fields(records: list[str], table: Table) -> list[list[str]] | None:
    """The fields of each record if all keep the rules, else None."""
    try:
        rows = parse_fields(records, table)
    except csv.Error:
        return None
    return rows if len(rows) == len(records) else None  # a quote may join rows that are two


def is_blank(record: str) -> bool:
    """Whether a line holds no row at all; one of separators only does."""
    return not record.strip("\r ")


def starts_row(line: str, table: Table) -> bool:
    """Whether a line is so much like a row that it is none of the lines of a quoted text."""
    num_fields = line.count(table.separator) + 1
    if table.separator == "\t":
        return num_fields == table.num_columns > 1
    return bool(table.row_start) and _compiled(table.row_start).match(line) is not None


def find_records(lines: list[str], table: Table) -> tuple[list[tuple[int, str]], int]:
    """The rows among lines, each with its first line, and where one begins that may go on.

    That is the number of lines if there is none.
    """
    if not (table.quoted and table.multiline):
        return list(enumerate(lines)), len(lines)
    if table.row_start and table.separator != "\t":
        return _records_by_start(lines, table)
    return _records_by_quotes(lines, table)


def _records_by_start(lines: list[str], table: Table) -> tuple[list[tuple[int, str]], int]:
    """Rows begin where the columns before the text say so, or below a complete row."""
    records: list[tuple[int, list[str]]] = []
    for index, line in enumerate(lines):
        if records and not starts_row(line, table):
            last = records[-1][1]
            complete = len(last) == 1 and '"' not in last[0]
            is_open = not complete and strict_fields(["\n".join(last)], table) is None
            if is_open and len(last) <= MOST_LINES:
                last.append(line)
                continue
        records.append((index, [line]))
    found = [(index, "\n".join(record)) for index, record in records]
    return found, found[-1][0] if found else 0


def _records_by_quotes(lines: list[str], table: Table) -> tuple[list[tuple[int, str]], int]:
    """Only a line with an odd number of quotes can open a text that goes on below.

    Only the next such line can close it.
    """
    plain = [_without_escaped(line) for line in lines] if table.backslash else lines
    odd = [index for index, line in enumerate(plain) if line.count('"') & 1]
    records: list[tuple[int, str]] = []
    done = place = 0
    while place < len(odd):
        first = odd[place]
        place += 1
        if strict_fields([lines[first]], table) is not None:
            continue
        end = odd[place] + 1 if place < len(odd) else len(lines)
        below = lines[first + 1 : end]
        # 4290 TAB " a quote of its own / 4291 TAB and another": two rows, not one
        if below and all(starts_row(line, table) for line in below):
            continue
        if place == len(odd):
            records += enumerate(lines[done:], done)
            return records, first
        record = "\n".join(lines[first:end])
        if strict_fields([record], table) is not None:
            records += enumerate(lines[done:first], done)
            records.append((first, record))
            done = end
            place += 1
    return records + list(enumerate(lines[done:], done)), len(lines)


def _without_escaped(line: str) -> str:
    return line.replace("\\\\", "").replace('\\"', "")


def parse_record(record: str, table: Table, line: int, name: str) -> tuple[list[str], bool]:
    """The fields of a row that may break the rules, and whether its text was put together again."""
    record = record.rstrip("\r")
    num_columns = table.num_columns
    row: list[str] = []
    never_closes = TweetgenError(
        f"the quote opened near line {line:,} of {name} never closes. "
        "Close it, or double the quotes inside the text."
    )
    if table.row_start and record.count("\n") >= MOST_LINES:
        raise never_closes
    try:
        row = next(iter(parse_fields([record], table)), [])
    except csv.Error as error:
        is_open = table.row_start.endswith('"') or not starts_row(record, table)
        can_close = table.multiline and is_open
        if "unexpected end" in str(error) and can_close:
            raise never_closes from None
    if len(row) == num_columns:
        return row, False
    if table.multiline and table.quoted and table.separator != "\t":
        broken = not row or any('"' in field for field in row)
        if broken and (fields := _around_text(record, table)):
            return fields, False
    if "\n" not in record and (not row or len(row) > num_columns):
        if table.text_is_last and (before := _leading(record, table)):
            return [*before[0], record[before[1] :]], len(row) > num_columns
        if len(raw := record.split(table.separator)) == num_columns:
            return raw, False
    if table.text < len(row) < num_columns and table.numeric_start and NUMBER.fullmatch(row[0]):
        return row + [""] * (num_columns - len(row)), False  # a spreadsheet left out empty cells
    fields_found = f"{len(row)} fields" if row else "quotes that do not match"
    raise TweetgenError(
        f"line {line:,} of {name} has {fields_found}, expected {num_columns}. "
        "Quote the text there, or give --separator or --format txt."
    )


@functools.lru_cache
def _field(separator: str, quoted: bool) -> str:
    """The pattern of a field that keeps the rules."""
    mark = re.escape(separator)
    plain = f'[^"{mark}\n][^{mark}\n]*+|(?=[{mark}\n]|\\Z)' if quoted else f"[^{mark}]*+"
    return f'(?:"(?:[^"]|"")*+"|{plain})' if quoted else f"(?:{plain})"


def _around_text(record: str, table: Table) -> list[str] | None:
    """The fields where a quoted text with quotes of its own is all between its neighbours.

    `1,"He said "hi, you" to me",x` -> `He said "hi, you" to me`
    """
    mark, field = re.escape(table.separator), _field(table.separator, True)
    before = _leading(record, table)
    if before is None:
        return None
    fields, position = before
    num_after = table.num_columns - table.text - 1
    pattern = rf'(?s:"(.*)")\r?((?:{mark}{field}){{{num_after}}})\Z'
    match = _compiled(pattern).match(record, position)
    if match is None:
        return None
    after = _compiled(f"{mark}({field})").findall(match[2])
    if len(after) != num_after:
        return None
    return [*fields, match[1].replace('""', '"'), *map(_unquoted, after)]


def _leading(record: str, table: Table) -> tuple[list[str], int] | None:
    """The fields before the text and where it begins; None if they are not in order."""
    field = _compiled(f"({_field(table.separator, table.quoted)}){re.escape(table.separator)}")
    fields, position = [], 0
    for _ in range(table.text):
        if not (match := field.match(record, position)):
            return None
        fields.append(_unquoted(match[1]))
        position = match.end()
    return fields, position


@functools.lru_cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"') if field[:1] == '"' == field[-1:] != field else field
