"""How a table is laid out, found by looking: separator, header, quoting, number of columns."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tweetgen.reading.columns import DATE_NAMES, OTHER_NAMES, TEXT_NAMES, normalised
from tweetgen.reading.dates import parse_date
from tweetgen.reading.encoding import FILLING
from tweetgen.reading.tables import NUMBER, Table, find_runs, is_blank, join_runs, parse_fields

SEPARATORS = (",", "\t", ";", "|")
KNOWN_NAMES = frozenset((*TEXT_NAMES, *DATE_NAMES, *OTHER_NAMES))
HEADER_CELL = re.compile(r"[@#*]?[^\W\d][\w .:/()%'’&?+$-]{0,59}|#|")
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?')  # Excel's own first line
DIGIT_RUN = re.compile("[0-9]+")
LETTER_RUN = re.compile(r"[^\W\d_]+")
QUOTED_FIELD = re.compile(r'"(?:[^"]++|"")*+"')
MIN_ROWS = 3  # without a header, fewer rows than this prove nothing
MAX_COLUMNS = 2000
CHOOSING_LINES = 500
MIN_TYPED_ROWS = 8  # fewer say nothing about the values of a column
MIN_SHARE = 0.9  # of rows that must have the same number of fields
# The second of three header rows in files of the Orange toolkit
COLUMN_TYPES = frozenset(("discrete", "continuous", "string", "time", *"dcst"))


class Row(NamedTuple):
    """A row of the sample."""

    line: int  # from 0
    record: str
    fields: list[str]
    strict: bool  # it keeps the rules of CSV


Rating = tuple[bool, bool, float, int]  # header known, plainly a table, share that fits, columns


@dataclass(frozen=True)
class Layout:
    """A table's layout, its text column still unknown, and the sample's rows below the header."""

    table: Table
    names: list[str]  # "" for each column where there is no header
    header_lines: int
    rows: list[Row]
    has_header: bool
    rating: Rating


def find_layout(text: str, separator: str, *, must: bool, complete: bool) -> Layout | None:
    """The layout of the table that `text` begins, or None if it looks like plain text.

    `separator` is "" if it is to be found; `must`: it is a table for sure; `complete`: the text
    is the whole file, else its last row may be cut.
    """
    lines = text.rstrip(FILLING).removesuffix("\n").split("\n")
    declared = SEPARATOR_LINE.fullmatch(lines[0])
    first = 1 if declared else 0
    given = separator or (declared[1] if declared else "")
    must = must or bool(given)
    few = lines[: first + CHOOSING_LINES]
    ratings: dict[str, Rating] = {}
    for candidate in [given] if given else SEPARATORS:
        rows = _rows(few, first, Table(candidate, 0), complete and len(few) == len(lines))
        if rows and (layout := _layout(rows, candidate, must)):
            ratings[candidate] = layout.rating
    if not ratings:
        return None
    best = max(ratings, key=lambda candidate: ratings[candidate])
    layout = _layout(_rows(lines, first, Table(best, 0), complete), best, must=True)
    return _refined(layout, lines, first, complete) if layout else None


def _rows(lines: list[str], first: int, table: Table, complete: bool) -> list[Row]:
    """The rows of a sample but blank ones, their fields by the rules or, failing that, raw."""
    lines = lines[first:]
    runs, open_line = find_runs(lines, table)
    records: list[tuple[int, str]] = []
    line = first
    for record in join_runs(lines if complete else lines[:open_line], runs):
        if not is_blank(record):
            records.append((line, record.rstrip("\r")))
        line += record.count("\n") + 1
    try:
        fields = parse_fields([record for _, record in records], table)
        if len(fields) == len(records):
            return [Row(*record, row, True) for record, row in zip(records, fields, strict=True)]
    except csv.Error:
        pass
    return [_row(line, record, table) for line, record in records]


def _row(line: int, record: str, table: Table) -> Row:
    try:
        return Row(line, record, parse_fields([record], table)[0], True)
    except csv.Error:
        return Row(line, record, record.split(table.separator), False)


def _layout(rows: list[Row], separator: str, must: bool) -> Layout | None:
    """The layout of rows cut by a separator; None if they do not look like a table."""
    head, body = rows[0].fields, rows[1:]
    if len(head) > MAX_COLUMNS:
        return None
    num_wide = sum(len(row.fields) >= len(head) for row in body)
    num_known = _num_known(head)
    if num_known > 1 or (num_known and num_wide >= len(body) / 2):
        return Layout(
            Table(separator, len(head)), head, 0, rows, True, (True, True, 1.0, len(head))
        )
    widths = Counter(len(row.fields) for row in rows)
    width, num_fitting = max(widths.items(), key=lambda item: (item[1], item[0]))
    share = num_fitting / len(rows)
    fits = share >= MIN_SHARE or (share >= 0.5 and width == min(widths))
    evident = fits and _is_evident(rows, width, separator)
    if not must and not evident:
        return None
    has_header = _has_header(rows, width)
    names = head if has_header else [""] * width
    return Layout(
        Table(separator, width), names, 0, rows, has_header, (False, evident, share, width)
    )


def _num_known(head: Sequence[str]) -> int:
    """The number of well-known names in a first row; 0 if it is none of names for sure."""
    if not all(HEADER_CELL.fullmatch(cell.strip()) for cell in head):
        return 0
    names = [normalised(cell) for cell in head]
    known = [name for name in names if name in KNOWN_NAMES]
    return len(known) if len(known) > 1 or any(name in TEXT_NAMES for name in known) else 0


def _is_evident(rows: list[Row], width: int, separator: str) -> bool:
    """Whether rows without a known header are a table and not lines of text with commas."""
    if width < 2:
        special = [row for row in rows if separator in row.record or '"' in row.record]
        return bool(special) and all(QUOTED_FIELD.fullmatch(row.record) for row in special)
    if len(rows) < MIN_ROWS:
        return False
    if separator == "\t":
        return True
    if any(row.strict and row.record.count(separator) >= len(row.fields) for row in rows):
        return True
    body = [row.fields for row in rows[1:] if len(row.fields) >= width]
    return any(_is_typed([fields[column] for fields in body]) for column in range(width))


def _is_typed(values: list[str]) -> bool:
    """Whether a column holds only numbers or dates, or a few words again and again."""
    filled = [value.strip() for value in values if value.strip()]
    if not filled:
        return False
    if all(NUMBER.fullmatch(value) or parse_date(value, "day") for value in filled):
        return True
    few = len(set(filled)) <= len(filled) / 4
    return few and all(len(value) <= 30 and value.count(" ") <= 2 for value in filled)


def _has_header(rows: list[Row], width: int) -> bool:
    """Whether the first row, though of unknown names, is a header and surely no tweet."""
    head, body = rows[0].fields, [row.fields for row in rows[1:] if len(row.fields) >= width]
    if len(head) != width or not body or not all(HEADER_CELL.fullmatch(c.strip()) for c in head):
        return False
    below = [[fields[column].strip() for fields in body] for column in range(width)]
    if any(head[i].strip() and head[i].strip() in below[i] for i in range(width)):
        return False
    if any(head[i].strip() and all(map(NUMBER.fullmatch, below[i])) for i in range(width)):
        return True
    words = [sum(len(value.split()) for value in column) / len(body) for column in below]
    text = words.index(max(words))
    return max(words) >= 3 and len(head[text].split()) == 1


def _refined(layout: Layout, lines: list[str], first: int, complete: bool) -> Layout:
    """The layout with its quoting, odd widths and header rows seen to."""
    table = _with_quoting(layout, lines, first, complete)
    if table != layout.table:
        layout = replace(layout, table=table, rows=_rows(lines, first, table, complete))
    num_header_rows = 0
    if layout.has_header:
        layout = replace(layout, names=layout.rows[0].fields)
        types = layout.rows[1].fields if len(layout.rows) > 1 else []
        three = len(types) > 1 and all(cell in COLUMN_TYPES for cell in types)
        num_header_rows = 3 if three else 1
    head, body = layout.rows[:num_header_rows], layout.rows[num_header_rows:]
    below = head[-1].line + head[-1].record.count("\n") + 1 if head else first
    layout = replace(layout, rows=body, header_lines=below)
    layout = _with_real_width(layout)
    numeric = bool(body) and all(NUMBER.fullmatch(row.fields[0]) for row in body)
    return replace(layout, table=replace(layout.table, numeric_start=numeric))


def _with_quoting(layout: Layout, lines: list[str], first: int, complete: bool) -> Table:
    """The table with the way of quoting under which most rows are in order."""
    table, width = layout.table, layout.table.num_columns
    if table.separator == "\t":
        filled = [row.record for row in layout.rows]
        physical = [line.rstrip("\r") for line in lines[first:] if line.strip("\r ")]
        raw = width > 1 and all(line.count("\t") == width - 1 for line in physical)
        ill = any(not row.strict for row in layout.rows) or len(filled) != len(physical)
        return replace(table, quoted=not (raw and ill))
    tables = [table]
    if any(f'{table.separator} "' in row.record for row in layout.rows):
        tables.append(replace(table, padded=True))
    if any('\\"' in row.record for row in layout.rows):
        tables.append(replace(table, backslash=True))

    def order(table: Table) -> int:
        rows = _rows(lines, first, table, complete)
        return sum(1 if row.strict and len(row.fields) == width else -1 for row in rows)

    return max(tables, key=order) if len(tables) > 1 else table


def row_start(rows: Sequence[Row], table: Table) -> str:
    """The pattern of the columns before the text; "" if lines of a text could match it too."""
    whole = [row.fields for row in rows if row.strict and len(row.fields) == table.num_columns]
    patterns, num_sure = [], 0
    for column in range(table.text):
        values = [fields[column] for fields in whole]
        pattern = _few_values(values) or _few_shapes(values)
        long_number = re.search(r"\\d\{([6-9]|\d\d),", pattern) is not None
        num_sure += 2 if long_number else pattern != ""
        patterns.append(f'"?(?:{pattern})"?' if pattern else f"[^{re.escape(table.separator)}]*+")
    if num_sure < 2 or len(whole) < MIN_TYPED_ROWS:
        return ""
    return "".join(pattern + re.escape(table.separator) for pattern in patterns)


def _few_values(values: Sequence[str]) -> str:
    """`0|4` for a column of labels, "" for any other."""
    distinct = {value.strip() for value in values}
    if len(distinct) > 20 or len(distinct) > len(values) / 4:
        return ""
    return "|".join(sorted(re.escape(value) for value in distinct))


def _few_shapes(values: Sequence[str]) -> str:
    r"""`\d{4,}\-\d{2,}\-\d{2,}` for dates, `\d{18,}` for ids, "" for a column of anything else."""
    shapes = set()
    for value in values:
        letters = LETTER_RUN.sub(lambda _: r"[^\W\d_]+", re.escape(value.strip()))
        shapes.add(DIGIT_RUN.sub(lambda run: rf"\d{{{len(run[0])},}}", letters))
        if len(shapes) > 8 or not DIGIT_RUN.search(letters):
            return ""
    return "|".join(sorted(shapes))


def _with_real_width(layout: Layout) -> Layout:
    """The layout with columns that the header does not name: row numbers, empty ones at the end."""
    width = layout.table.num_columns
    rows = [row.fields for row in layout.rows]
    wider = len(rows[0]) if rows else 0
    if not layout.has_header or wider <= width or any(len(row) != wider for row in rows):
        return layout
    names = layout.names
    numbers = [row[0] for row in rows]
    starts = [[str(number) for number in range(start, start + len(rows))] for start in (0, 1)]
    if all(not any(row[width:]) for row in rows):
        names = names + [""] * (wider - width)
    elif wider == width + 1 and len(rows) >= 5 and numbers in starts:
        names = ["", *names]  # R writes the numbers of rows without a name
    else:
        return layout
    return replace(layout, names=names, table=replace(layout.table, num_columns=wider))
