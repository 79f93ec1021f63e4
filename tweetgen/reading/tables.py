"""Rows of CSV and TSV files as they really are: quotes that do not balance, commas unquoted."""

import csv
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tweetgen.errors import TweetgenError
from tweetgen.reading.encoding import FILLING, MAX_RECORD

NUMBER = re.compile(r"\s*\"?-?\d[\d.]*(?:[eE][+-]?\d+)?\"?\s*")
# A carriage return inside a row; rows end with LF after up to four of them.
LONE_RETURN = re.compile(r"\r(?!\r{0,3}(?:\n|\Z))")
RETURN_MARK = "\udc0d"  # stands for it while csv parses; decoded text has no lone surrogates


@dataclass(frozen=True)
class Table:
    """The layout of a table of tweets."""

    separator: str
    num_columns: int
    text: int = 0  # index of the column
    date: int = -1  # -1: none is needed
    quoted: bool = True  # False: quotes are characters like any other
    multiline: bool = True  # False: every line is a row, whatever its quotes
    numeric_start: bool = False  # the first column of every row is a number
    row_start: str = ""  # pattern of the columns before the text, if it is unmistakable
    padded: bool = False  # quotes open after a space: `1, "a, b"`
    backslash: bool = False  # quotes inside a text are written \"

    @property
    def text_is_last(self) -> bool:
        return self.text == self.num_columns - 1


class Rows(NamedTuple):
    """What a block of a table holds."""

    texts: list[str]
    dates: list[str]  # one for each text, if the table has a date column
    num_joined: int  # rows whose last column held unquoted separators


def parse_fields(records: Sequence[str], table: Table) -> list[list[str]]:
    """The fields of records, by the strict rules of CSV; csv.Error if they break them."""
    dialect = _dialect(table.separator, table.quoted, table.padded, table.backslash)
    try:
        return list(csv.reader(records, dialect))
    except csv.Error as error:
        if "field limit" not in str(error):
            raise
    previous = csv.field_size_limit(MAX_RECORD)
    try:
        return list(csv.reader(records, dialect))
    finally:
        csv.field_size_limit(previous)


@functools.lru_cache
def _dialect(separator: str, quoted: bool, padded: bool, backslash: bool) -> Any:
    return csv.reader(
        (),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        escapechar="\\" if backslash else None,
        skipinitialspace=padded,
        strict=True,
    ).dialect


def is_row(record: str, table: Table) -> bool:
    """Whether a record is one row by the strict rules of CSV."""
    try:
        return len(parse_fields([record], table)) == 1
    except csv.Error:
        return False


def find_runs(lines: list[str], table: Table) -> tuple[list[tuple[int, int]], int]:
    """The first line and the line after the last of each row of several lines.

    Also the index of a line whose quote closes further on, or never; the number of lines if there
    is none. Only a line with an odd number of quotes can open a text that goes on below, and only
    the next such line can close it.
    """
    if not (table.quoted and table.multiline):
        return [], len(lines)
    plain = [_without_escaped(line) for line in lines] if table.backslash else lines
    odd = [index for index, line in enumerate(plain) if line.count('"') & 1]
    runs: list[tuple[int, int]] = []
    following = 0  # the place in `odd`
    while following < len(odd):
        first = odd[following]
        following += 1
        if is_row(lines[first], table):
            continue
        end = odd[following] + 1 if following < len(odd) else len(lines)
        below = lines[first + 1 : end]
        # 4290,0,Kaggle," a quote of its own / 4291,1,Kaggle,and another": two rows, not one
        if below and all(starts_row(line, table) for line in below):
            continue
        if following == len(odd):
            return runs, first
        if is_row("\n".join(lines[first:end]), table):
            runs.append((first, end))
            following += 1
    return runs, len(lines)


def _without_escaped(line: str) -> str:
    return line.replace("\\\\", "").replace('\\"', "")


def join_runs(lines: list[str], runs: list[tuple[int, int]]) -> list[str]:
    """The text of each row: a line, or the lines of a run."""
    records: list[str] = []
    done = 0
    for first, end in runs:
        records += lines[done:first]
        records.append("\n".join(lines[first:end]))
        done = end
    return records + lines[done:]


def is_blank(record: str) -> bool:
    """Whether a line holds no row at all; one of separators only does."""
    return not record.strip("\r ")


def starts_row(line: str, table: Table) -> bool:
    """Whether a line is so much like a row that it is none of the lines of a quoted text."""
    num_fields = line.count(table.separator) + 1
    if table.separator == "\t":
        return num_fields == table.num_columns > 1
    if not table.row_start or num_fields < table.num_columns:
        return False
    return re.match(table.row_start, line) is not None


def end_of_rows(block: bytes, table: Table) -> int:
    """The number of bytes up to the end of the last complete row."""
    end = block.rfind(b"\n") + 1
    if not end or not (table.quoted and table.multiline):
        return end
    lines = block[: end - 1].decode("latin-1").split("\n")  # one character a byte
    _, open_line = find_runs(lines, table)
    return end - sum(len(line) + 1 for line in lines[open_line:])


def parse_block(text: str, table: Table, first_line: int, name: str) -> Rows:
    """The texts of a block of whole rows; TweetgenError, with the line, for what is not safe."""
    has_returns = text.count("\r") != text.count("\r\n")
    if has_returns:
        text = LONE_RETURN.sub(RETURN_MARK, text)
    lines = text.rstrip(FILLING).removesuffix("\n").split("\n")
    runs, _ = find_runs(lines, table)  # `end_of_rows` has cut before an open line; or it is the end
    records = join_runs(lines, runs)
    rows, num_joined = _parse_rows(records, table), 0
    if rows is None:
        rows, line = [], first_line
        for record in records:
            if not is_blank(record):
                fields, joined = parse_row(record, table, line, name)
                rows.append(fields)
                num_joined += joined
            line += record.count("\n") + 1
    texts = [row[table.text] for row in rows]
    if has_returns:
        texts = [text.replace(RETURN_MARK, "\r") for text in texts]
    dates = [row[table.date] for row in rows] if table.date >= 0 else []
    return Rows(texts, dates, num_joined)


def _parse_rows(records: list[str], table: Table) -> list[list[str]] | None:
    """The fields of all rows if each keeps the rules and has all columns, else None."""
    try:
        rows = parse_fields(records, table)
    except csv.Error:
        return None
    if len(rows) != len(records):  # a quote joined rows that are two
        return None
    rows = [row for row in rows if row]  # blank lines
    return rows if set(map(len, rows)) <= {table.num_columns} else None


def parse_row(record: str, table: Table, line: int, name: str) -> tuple[list[str], bool]:
    """The fields of a row that may break the rules, and whether its text was put together again."""
    record = record.rstrip("\r")
    num_columns = table.num_columns
    try:
        row = next(iter(parse_fields([record], table)), [])
    except csv.Error as error:
        row = []
        if "unexpected end" in str(error) and table.multiline and not starts_row(record, table):
            raise _never_closes(line, name) from None
        if table.multiline and table.separator != "\t":
            lenient, rest = _loose_fields(record, table, num_columns)
            if len(lenient) == num_columns and rest > len(record):
                return lenient, False
    if len(row) == num_columns:
        return row, False
    if "\n" not in record and (not row or len(row) > num_columns):
        leading, rest = _loose_fields(record, table, num_columns - 1)
        if table.text_is_last and len(leading) == num_columns - 1 and rest <= len(record):
            return [*leading, record[rest:]], len(row) > num_columns
        if len(raw := record.split(table.separator)) == num_columns:
            return raw, False
    if table.text < len(row) < num_columns and table.numeric_start and NUMBER.fullmatch(row[0]):
        return row + [""] * (num_columns - len(row)), False  # a spreadsheet left out empty cells
    fields = f"{len(row)} fields" if row else "quotes that do not match"
    raise TweetgenError(
        f"line {line:,} of {name} has {fields}, expected {num_columns}. "
        "Quote the text there, or give --separator or --format txt."
    )


def _loose_fields(record: str, table: Table, num_fields: int) -> tuple[list[str], int]:
    """The first fields where a quote closes only before a separator, and where the rest begins."""
    pattern = _loose_field(table.separator, table.quoted)
    values: list[str] = []
    position = 0
    while len(values) < num_fields and position <= len(record):
        match = pattern.match(record, position)
        assert match is not None  # it matches the empty field too
        values.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        position = match.end() + 1
    return values, position


@functools.lru_cache
def _loose_field(separator: str, quoted: bool) -> re.Pattern[str]:
    """`"He said "hi" to me"` -> `He said "hi" to me`: a field up to a separator or the end."""
    end = rf"(?:{re.escape(separator)}|\Z)"
    opening = '"' if quoted else "(?!)"  # (?!) never matches
    return re.compile(
        rf'{opening}((?:[^"]++|"(?!{end}))*+)"(?={end})|([^{re.escape(separator)}]*+)'
    )


def _never_closes(line: int, name: str) -> TweetgenError:
    return TweetgenError(
        f"the quote opened near line {line:,} of {name} never closes. "
        "Close it, or double the quotes inside the text."
    )
