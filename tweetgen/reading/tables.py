"""Rows of CSV and TSV files: together where they keep the rules, one by one where they do not."""

import csv
import functools
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

from tweetgen.errors import TweetgenError
from tweetgen.reading.encoding import FILLING, MAX_RECORD

NUMBER = re.compile(r"\s*\"?-?\d[\d.]*(?:[eE][+-]?\d+)?\"?\s*")
# A carriage return inside a row; rows end with LF after up to four of them.
LONE_RETURN = re.compile(r"\r(?!\r{0,3}(?:\n|\Z))")
RETURN_MARK = "\udc0d"  # stands for it while csv parses; decoded text has no lone surrogates
# A whole row that a spreadsheet put into one cell: `"1,""Rain, again"",x";;;`
ROW_IN_A_CELL = re.compile(r'"((?:[^"]|"")*+)"[;,\t]*+\r?')
EMPTY_CELLS = re.compile(r"[;\t]++\r?\Z")
MOST_LINES = 200  # of one text; more are a quote that never closes


@dataclass(frozen=True, kw_only=True)
class Table:
    """How a table of tweets is laid out."""

    separator: str
    names: tuple[str, ...] = ()  # of its columns, "" for each where there is no header
    has_header: bool = False
    header_lines: int = 0  # before the first row, with what stands above the header
    text: int = 0  # index of the column
    date: int = -1  # -1: there is none
    quoted: bool = True  # False: quotes are characters like any other
    padded: bool = False  # quotes open after a space: `1, "a, b"`
    backslash: bool = False  # quotes inside a text are written \"
    in_cells: bool = False  # each row is the content of one quoted cell
    multiline: bool = True  # False: every line is a row, whatever its quotes
    numeric_start: bool = False  # the first column of every row is a number
    row_start: str = ""  # pattern of what rows begin with and lines of a text do not, if known

    @property
    def num_columns(self) -> int:
        return len(self.names)


Rows = tuple[list[str], list[str], Counter[str]]  # texts; their dates, if any; rows by oddity


def read_rows(blocks: Iterable[str], table: Table, name: str) -> Iterator[Rows]:
    """The texts and dates of a table from blocks of its text, whole lines but for the last.

    Counted are repeated headers, as in files that were joined, and under "" the rows whose last
    column held unquoted separators. A row that cannot be read safely is a TweetgenError.
    """
    skip, line = table.header_lines, 1
    rest: list[str] = []
    for block, following in pairwise(chain(blocks, [""])):
        text = block if following else block.rstrip(FILLING)
        text = (unwrapped(text) if table.in_cells else text).removesuffix("\n")
        lines = rest + LONE_RETURN.sub(RETURN_MARK, text).split("\n")
        skipped = min(skip, len(lines))
        skip, line, lines = skip - skipped, line + skipped, lines[skipped:]
        records, open_line = find_records(lines, table)
        if following:
            records = [record for record in records if record[0] < open_line]
        yield _parsed(records, table, line, name)
        rest = lines[open_line:]
        line += open_line
        if sum(map(len, rest)) > MAX_RECORD:
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


def _parsed(records: list[tuple[int, str]], table: Table, line: int, name: str) -> Rows:
    """What records hold, the lines of the file counted from `line` on."""
    counts: Counter[str] = Counter()
    rows = strict_fields([record for _, record in records], table)
    rows = rows and [row for row in rows if row]  # blank lines
    if rows is None or not set(map(len, rows)) <= {table.num_columns}:
        parsed = [
            parse_record(record, table, line + index, name)
            for index, record in records
            if not is_blank(record)
        ]
        rows, counts[""] = [row for row, _ in parsed], sum(joined for _, joined in parsed)
    head = list(table.names)
    if table.has_header and head in rows:
        counts["repeated header"] = rows.count(head)
        rows = [row for row in rows if row != head]
    texts = [row[table.text].replace(RETURN_MARK, "\r") for row in rows]
    return texts, [row[table.date] for row in rows if table.date >= 0], counts


def strict_fields(records: list[str], table: Table) -> list[list[str]] | None:
    """The fields of each record if all keep the rules of CSV, else None."""
    previous = csv.field_size_limit(MAX_RECORD)
    try:
        rows = list(
            csv.reader(
                records,
                delimiter=table.separator,
                quoting=csv.QUOTE_MINIMAL if table.quoted else csv.QUOTE_NONE,
                escapechar="\\" if table.backslash else None,
                skipinitialspace=table.padded,
                strict=True,
            )
        )
    except csv.Error:
        return None
    finally:
        csv.field_size_limit(previous)
    return rows if len(rows) == len(records) else None  # a quote may join rows that are two


def is_blank(record: str) -> bool:
    """Whether a line holds no row at all; one of separators only does."""
    return not record.strip("\r ")


def find_records(lines: list[str], table: Table) -> tuple[list[tuple[int, str]], int]:
    """The rows among lines, each with its first line; the line where one begins that may go on."""
    if not (table.quoted and table.multiline and any('"' in line for line in lines)):
        return list(enumerate(lines)), len(lines)
    if table.row_start and table.separator != "\t":
        return _records_by_start(lines, table)
    return _records_by_quotes(lines, table)


def _records_by_start(lines: list[str], table: Table) -> tuple[list[tuple[int, str]], int]:
    """Rows begin where the columns before the text say so, or below a complete row."""
    starts = re.compile(table.row_start).match
    records: list[tuple[int, list[str]]] = []
    for index, line in enumerate(lines):
        if records and not starts(line):
            last = records[-1][1]
            may_go_on = len(last) <= MOST_LINES and (len(last) > 1 or '"' in last[0])
            if may_go_on and strict_fields(["\n".join(last)], table) is None:
                last.append(line)
                continue
        records.append((index, [line]))
    found = [(index, "\n".join(record)) for index, record in records]
    return found, found[-1][0] if found else 0


def _is_strict(lines: list[str], table: Table) -> bool:
    """Whether lines are a row that keeps the rules."""
    return strict_fields(["\n".join(lines)], table) is not None


def _records_by_quotes(lines: list[str], table: Table) -> tuple[list[tuple[int, str]], int]:
    """Only a line with an odd number of quotes can open a long text, only the next close it."""
    plain = [re.sub(r'\\[\\"]', "", line) for line in lines] if table.backslash else lines
    odd = deque(index for index, line in enumerate(plain) if line.count('"') & 1)
    records: list[tuple[int, str]] = []
    done = 0
    while odd:
        first = odd.popleft()
        if _is_strict([lines[first]], table):
            continue
        if not odd:
            return records + list(enumerate(lines[done:], done)), first
        record = lines[first : odd[0] + 1]
        # 4290 TAB " a quote of its own / 4291 TAB and another": two rows, not one
        are_rows = all(starts_row(line, table) for line in record[1:])
        if not are_rows and _is_strict(record, table):
            records += [*enumerate(lines[done:first], done), (first, "\n".join(record))]
            done = odd.popleft() + 1
    return records + list(enumerate(lines[done:], done)), len(lines)


def parse_record(record: str, table: Table, line: int, name: str) -> tuple[list[str], bool]:
    """The fields of a row that may break the rules, and whether its text was put together again."""
    record, width = record.rstrip("\r\n"), table.num_columns
    row = (strict_fields([record], table) or [[]])[0]
    is_too_long = table.row_start != "" and record.count("\n") >= MOST_LINES
    if len(row) == width and not is_too_long:
        return row, False
    if is_too_long or (not row and _is_unclosed(record, table)):
        raise TweetgenError(
            f"the quote opened near line {line:,} of {name} never closes. "
            "Close it, or double the quotes inside the text."
        )
    has_raw = table.multiline and table.quoted and table.separator != "\t"
    if has_raw and not (row and '"' not in "".join(row)) and (raw := _raw(table).match(record)):
        return list(map(_unquoted, raw.groups())), False
    if "\n" not in record and (not row or len(row) > width):
        if table.text == width - 1 and (before := _before_text(table).match(record)):
            return [*map(_unquoted, before.groups()), record[before.end() :]], len(row) > width
        if len(cells := record.split(table.separator)) == width:
            return cells, False
    if table.text < len(row) < width and table.numeric_start and NUMBER.fullmatch(row[0]):
        return row + [""] * (width - len(row)), False  # a spreadsheet left out empty cells
    fields_found = f"{len(row)} fields" if row else "quotes that do not match"
    raise TweetgenError(
        f"line {line:,} of {name} has {fields_found}, expected {width}. "
        "Quote the text there, or give --separator or --format txt."
    )


def _is_unclosed(record: str, table: Table) -> bool:
    """Whether a record lacks nothing but a last quote, and is not just a row with a stray one."""
    is_row = table.row_start[-1:] != '"' and starts_row(record, table)
    return table.multiline and not is_row and _is_strict([record + '"'], table)


def starts_row(line: str, table: Table) -> bool:
    """Whether a line is so much like a row that it is none of the lines of a quoted text."""
    if table.separator == "\t":
        return line.count("\t") + 1 == table.num_columns > 1
    return table.row_start != "" and re.match(table.row_start, line) is not None


@functools.lru_cache
def _raw(table: Table) -> re.Pattern[str]:
    """A row whose text is quoted and may hold quotes of its own, a group for each field.

    `1,"He said "hi, you" to me",x` -> `He said "hi, you" to me`
    """
    mark, field = re.escape(table.separator), _field_pattern(table)
    after = f"{mark}({field})" * (table.num_columns - table.text - 1)
    return re.compile(rf'{f"({field}){mark}" * table.text}("(?s:.*)")\r?{after}\Z')


@functools.lru_cache
def _before_text(table: Table) -> re.Pattern[str]:
    return re.compile(f"({_field_pattern(table)}){re.escape(table.separator)}" * table.text)


def _field_pattern(table: Table) -> str:
    """The pattern of a field that keeps the rules."""
    mark = re.escape(table.separator)
    if not table.quoted:
        return f"[^{mark}]*+"
    return f'(?:"(?:[^"]|"")*+"|[^"{mark}\n][^{mark}\n]*+|(?=[{mark}\n]|\\Z))'


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"') if field[:1] == '"' == field[-1:] != field else field
