"""How a table is laid out, found by looking: separator, header, quoting, number of columns."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tweetgen.reading.columns import DATE_NAMES, OTHER_NAMES, TEXT_NAMES, normalised
from tweetgen.reading.dates import parse_date
from tweetgen.reading.encoding import FILLING
from tweetgen.reading.tables import (
    NUMBER,
    ROW_IN_A_CELL,
    Table,
    find_records,
    is_blank,
    strict_fields,
    unwrapped,
)

SEPARATORS = (",", "\t", ";", "|")
KNOWN_NAMES = frozenset((*TEXT_NAMES, *DATE_NAMES, *OTHER_NAMES))
HEADER_CELL = re.compile(r"[@#*]?[^\W\d][\w .:/()%'’&?+$-]{0,59}|#|")
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?')  # Excel's own first line
# What the cells of the row below a header may all be, and how many rows the header then has:
# the Orange toolkit's types of columns, above their roles; a line of a Markdown table
BELOW_HEADER = {
    re.compile("discrete|continuous|string|time|[dcst]"): 3,
    re.compile(" *:?-+:? *|"): 2,
}
QUOTED_FIELD = re.compile(r'"(?:[^"]++|"")*+"')
MIN_ROWS = 3  # without a header, fewer rows than this prove nothing
MAX_COLUMNS = 2000
CHOOSING_LINES = 500
MAX_PREAMBLE = 30  # lines above a header: "Report:,Bulk Mentions Download"
MIN_SHARE = 0.9  # of rows that must have the same number of fields


class Row(NamedTuple):
    """A row of the sample."""

    line: int  # from 0
    record: str
    fields: list[str]
    strict: bool  # it keeps the rules of CSV


class Layout(NamedTuple):
    """A table's layout, its text column still unknown, and the sample's rows below the header."""

    table: Table
    rows: list[Row]
    rating: tuple[bool, bool, float]  # header known, plainly a table, share of rows that fit


def _order(layout: Layout) -> tuple[Any, ...]:
    """The better of two layouts: most rows in order less the others, then the fewest columns."""
    width = layout.table.num_columns
    fit = sum(row.strict and len(row.fields) == width for row in layout.rows)
    return layout.rating, 2 * fit - len(layout.rows), -width


def find_layout(
    text: str, separator: str, *, must: bool, is_complete: bool, is_named: bool
) -> Layout | None:
    """The layout of the table that a text begins, or None if it looks like plain text.

    `separator` is "" if it is to be found; `must`: it is a table for sure; `is_complete`: the text
    is the whole file, else its last row may be cut; `is_named`: the file's name ends in .csv, .tsv
    or .tab.
    """
    text = text.rstrip(FILLING).removesuffix("\n")
    if in_cells := _is_in_cells(text):
        text = unwrapped(text)
    lines = text.split("\n")
    if declared := SEPARATOR_LINE.fullmatch(lines[0]):
        separator, lines[0] = separator or declared[1], ""
    few, must = lines[:CHOOSING_LINES], must or bool(separator)
    found = _layouts(few, separator or SEPARATORS, is_complete and few == lines, must, is_named)
    if not found:
        return None
    rough = max(found, key=lambda layout: (layout.rating, layout.table.num_columns))
    best = max(_layouts(lines, rough.table.separator, is_complete, True, True), key=_order)
    return _below_header(best, in_cells)


def layout_of_rows(rows: list[list[str]]) -> Layout | None:
    """The layout of rows that are cells already, as of a spreadsheet."""
    found = [Row(line, "", row, True) for line, row in enumerate(rows) if any(row)]
    layout = _layout(found, Table(separator=","), True, True) if found else None
    return layout and _below_header(layout, False)


def _is_in_cells(text: str) -> bool:
    """Whether a spreadsheet put each row whole into one cell, below a header of many columns."""
    lines = [line for line in text[: 2**16].split("\n") if line.strip()][:CHOOSING_LINES]
    head = unwrapped("".join(lines[:1])).strip("\r")
    is_header = any(_num_known(head.split(separator)) > 1 for separator in SEPARATORS)
    cells = sum(ROW_IN_A_CELL.fullmatch(line) is not None for line in lines[1:])
    return is_header and cells > (len(lines) - 1) / 2


def _layouts(
    lines: list[str], separators: Sequence[str], is_complete: bool, *how: bool
) -> list[Layout]:
    """The layouts under which lines are a table."""
    cut = [(table, _rows(lines, table, is_complete)) for table in _candidates(lines, separators)]
    layouts = [_layout(rows, table, *how) for table, rows in cut if rows]
    return [layout for layout in layouts if layout]


def _candidates(lines: list[str], separators: Sequence[str]) -> Iterator[Table]:
    """The separators, and the ways of quoting that lines show any sign of; the usual one first."""
    for separator in separators:
        table = Table(separator=separator)
        yield table
        if separator == "\t":
            num_tabs = {line.count("\t") for line in lines if not is_blank(line)}
            if len(num_tabs) == 1 and 0 not in num_tabs:
                yield replace(table, quoted=False)
            continue
        if any(f'{separator} "' in line for line in lines):
            yield replace(table, padded=True)
        if any('\\"' in line for line in lines):
            yield replace(table, backslash=True)


def _rows(lines: list[str], table: Table, is_complete: bool) -> list[Row]:
    """The rows of a sample but blank ones, their fields by the rules or, failing that, raw."""
    found, open_line = find_records(lines, table)
    records = [
        (line, record.rstrip("\r"))
        for line, record in found
        if not is_blank(record) and (is_complete or line < open_line)
    ]
    each = strict_fields([record for _, record in records], table)
    if each is None:
        each = [(strict_fields([record], table) or [[]])[0] for _, record in records]
    return [
        Row(line, record, fields or record.split(table.separator), bool(fields))
        for (line, record), fields in zip(records, each, strict=True)
    ]


def _layout(rows: list[Row], table: Table, must: bool, is_named: bool) -> Layout | None:
    """The layout of rows cut like this, the header first; None if they are no table."""
    rows = _below_preamble(rows)
    body = rows[1:]
    head = tuple(cell if table.quoted else cell.strip('"') for cell in rows[0].fields)
    if len(head) > MAX_COLUMNS:
        return None
    num_wide = sum(len(row.fields) >= len(head) for row in body)
    num_known = _num_known(head)
    if num_known > 1 or (num_known and num_wide >= len(body) / 2):
        table = replace(table, names=head, has_header=True)
        return Layout(table, rows, (True, True, 1.0))
    widths = Counter(len(row.fields) for row in rows)
    width, num_fitting = max(widths.items(), key=lambda item: (item[1], item[0]))
    share = num_fitting / len(rows)
    fits = share >= MIN_SHARE or (share >= 0.5 and width == min(widths))
    one = rows[0]  # and a separator or quotes more than its fields have
    is_quoted = one.strict and len(one.record) >= sum(map(len, one.fields)) + len(one.fields)
    is_small = is_named and share == 1 and width > 1 and len(rows) < MIN_ROWS
    is_small = is_small and (len(rows) > 1 or is_quoted)
    evident = fits and (is_small or _is_evident(rows, width, table.separator))
    if not must and not evident:
        return None
    has_header = _has_header([cell.strip() for cell in head], body, width)
    table = replace(table, names=head if has_header else ("",) * width, has_header=has_header)
    return Layout(table, rows, (False, evident, share))


def _below_preamble(rows: list[Row]) -> list[Row]:
    """The rows from a header of known names on, which all rows above are narrower than."""
    for index, row in enumerate(rows[:MAX_PREAMBLE]):
        width = _filled(row)
        if _num_known(row.fields) > 1 and all(_filled(above) < width for above in rows[:index]):
            below = rows[index + 1 :]
            if sum(len(r.fields) == len(row.fields) for r in below) >= len(below) / 2:
                return rows[index:]
    return rows


def _filled(row: Row) -> int:
    """The number of cells up to the last that is not empty."""
    return max((index for index, cell in enumerate(row.fields, 1) if cell.strip()), default=0)


def _num_known(head: Sequence[str]) -> int:
    """The number of well-known names in a first row; 0 if it is none of names for sure."""
    if not all(HEADER_CELL.fullmatch(cell.strip()) for cell in head):
        return 0
    if len(head) == 1 and head[0].rstrip().endswith(":"):  # "tweets:" begins a list in YAML
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
    """Whether a column holds only numbers or dates, or a few words again and again.

    Words after a space are none: "Good morning, friends" is no table of two columns.
    """
    filled = [value.strip() for value in values if value.strip()]
    if not filled:
        return False
    if all(NUMBER.fullmatch(value) or parse_date(value, "day") for value in filled):
        return True
    few = len(set(filled)) <= len(filled) / 4 and not all(value[:1] == " " for value in values)
    return few and all(len(value) <= 30 and value.count(" ") <= 2 for value in filled)


def _has_header(head: list[str], rows: list[Row], width: int) -> bool:
    """Whether the first row, though of unknown names, is a header and surely no tweet."""
    body = [row.fields for row in rows if len(row.fields) >= width]
    if len(head) != width or not body or not all(map(HEADER_CELL.fullmatch, head)):
        return False
    below = [[fields[column].strip() for fields in body] for column in range(width)]
    if any(name and name in values for name, values in zip(head, below, strict=True)):
        return False
    if any(name and all(map(NUMBER.fullmatch, v)) for name, v in zip(head, below, strict=True)):
        return True
    words = [sum(len(value.split()) for value in column) / len(body) for column in below]
    return max(words) >= 3 and len(head[words.index(max(words))].split()) == 1


def _below_header(layout: Layout, in_cells: bool) -> Layout:
    """The layout with the rows below the header, and with a name for each of their columns."""
    table, rows = layout.table, layout.rows
    lines_above = rows[0].line
    if table.has_header:
        second = rows[1].fields if len(rows) > 1 else []
        fitting = (size for kind, size in BELOW_HEADER.items() if all(map(kind.fullmatch, second)))
        num_headers = next(fitting, 1) if len(second) > 1 and any(second) else 1
        last = rows[:num_headers][-1]
        rows, lines_above = rows[num_headers:], last.line + last.record.count("\n") + 1
    table = replace(
        table,
        names=_all_names(table, rows),
        header_lines=lines_above,
        numeric_start=bool(rows) and all(NUMBER.fullmatch(row.fields[0]) for row in rows),
        in_cells=in_cells,
    )
    return layout._replace(table=table, rows=rows)


def _all_names(table: Table, rows: list[Row]) -> tuple[str, ...]:
    """The names of columns with those that the header lacks: row numbers, empty ones at the end."""
    names, width = table.names, table.num_columns
    wider = len(rows[0].fields) if rows else 0
    odd = any(len(row.fields) != wider or not row.strict for row in rows)
    if not table.has_header or wider <= width or odd:
        return names
    if all(not any(row.fields[width:]) for row in rows):
        return names + ("",) * (wider - width)
    return ("", *names) if wider == width + 1 and _are_row_numbers(rows) else names


def _are_row_numbers(rows: list[Row]) -> bool:
    """Whether rows begin with the numbers that R writes and gives no name: quoted, or in turn."""
    starts = [row.fields[0] for row in rows]
    numbers = [int(start) for start in starts if start.isdecimal()]
    if len(numbers) < len(rows):
        return False
    if all(row.record.startswith('"') for row in rows):
        return numbers == sorted(set(numbers))
    return len(rows) >= 5 and numbers == list(range(numbers[0], numbers[0] + len(rows)))
