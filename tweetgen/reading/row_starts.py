"""What the rows of a table begin with, by which they are told from the lines of a text."""

import re
from collections.abc import Sequence
from dataclasses import replace

from tweetgen.reading.layout import Layout, Row
from tweetgen.reading.tables import Table, strict_fields

DIGIT_RUN = re.compile("[0-9]+")
LETTER_RUN = re.compile(r"[^\W\d_]+")
LONG_NUMBER = 6  # digits: an id, which no line of a text begins with by chance
MIN_ROWS, MIN_LONG_ROWS = 8, 3  # fewer prove nothing, be there long numbers or not


def with_text(layout: Layout, text: int, date: int, sample: str) -> Table:
    """The finished table once its columns are known."""
    table = replace(layout.table, text=text, date=date)
    start = _row_start(layout.rows, table, sample)
    multiline = start.endswith('"') or not _is_unquoted(layout.rows, table, sample)
    return replace(table, row_start=start, multiline=multiline)


def _is_unquoted(rows: list[Row], table: Table, text: str) -> bool:
    """Whether the last column is all the rest of its line, separators and quotes included."""
    return (
        table.text == table.num_columns - 1
        and any(len(row.fields) > table.num_columns for row in rows)
        and not any("\n" in row.record for row in rows)
        and all(ln.count(table.separator) >= table.text for ln in text.split("\n") if ln.strip())
    )


def _row_start(rows: Sequence[Row], table: Table, sample: str) -> str:
    """The pattern of the columns before the text; "" if lines of a text could match it too."""
    if not table.text:
        return ""
    # Where most texts are in quotes, other rows may be lines of a text whose quotes are its own.
    mark = re.escape(table.separator)
    opened = re.compile(rf'((?:"(?:[^"]|"")*"{mark}|[^"{mark}]*{mark}){{{table.text}}})"')
    whole = [row for row in rows if row.strict and len(row.fields) == table.num_columns]
    quoted = [row for row in whole if opened.match(row.record)]
    is_quoted = len(quoted) > len(whole) / 2
    fields = [row.fields[: table.text] for row in (quoted if is_quoted else whole)]
    start = _start_pattern(fields, mark, is_quoted, [row.record for row in rows])
    if start or table.in_cells:
        return start
    # Where no row keeps the rules, lines that open a text in quotes and begin alike are rows.
    lines = sample.split("\n")[table.header_lines :]
    openings = [match[1][:-1] for line in lines if (match := opened.match(line))]
    fields = strict_fields(openings, table) or []
    alike = [row for row in fields if any(map(_is_alike, row, fields[0]))]
    start = _start_pattern(alike, mark, True, lines)
    return start if start.endswith('"') else ""


def _is_alike(value: str, first: str) -> bool:
    """Whether two cells are of one shape with digits."""
    shapes = {DIGIT_RUN.sub("0", LETTER_RUN.sub("a", cell.strip())) for cell in (value, first)}
    return len(shapes) == 1 and "0" in shapes.pop()


def _start_pattern(
    fields: list[list[str]], mark: str, is_quoted: bool, records: Sequence[str]
) -> str:
    """The pattern of columns before a text; "" if lines of a text could match it too."""
    patterns = [_pattern(values, is_quoted) for values in zip(*fields, strict=True)]
    is_long = any(f"{{{LONG_NUMBER}," in pattern for pattern in patterns)
    num_sure = sum(pattern != "" for pattern in patterns) + is_long
    start = "".join((f'"?(?:{p})"?' if p else f"[^{mark}]*+") + mark for p in patterns)
    if is_quoted and all(re.match(f'{start}(?!")', record) is None for record in records):
        start, num_sure = f'{start}"', num_sure + (num_sure > 0)
    is_sure = num_sure >= 2 and len(fields) >= (MIN_LONG_ROWS if is_long else MIN_ROWS)
    return start if is_sure else ""


def _pattern(values: Sequence[str], is_quoted: bool) -> str:
    """The pattern of a column with few shapes, or few values such as `0|4`; "" for any other."""
    cells = {value.strip() for value in values}
    labels = map(re.escape, cells) if len(cells) <= min(20, len(values) / 4) else ()
    shapes = set(map(_shape, cells))
    shapes = set() if "" in shapes or len(shapes) > 8 else shapes
    few_values, few_shapes = "|".join(sorted(labels)), "|".join(sorted(shapes))
    return few_shapes or few_values if is_quoted else few_values or few_shapes


def _shape(value: str) -> str:
    r"""`\d{4,}\-\d{2,}\-\d{2,}` for a date, `\d{6,}` for an id, "" for one without a digit."""
    letters = LETTER_RUN.sub(lambda _: r"[^\W\d_]+", re.escape(value))
    shape = DIGIT_RUN.sub(lambda run: rf"\d{{{min(len(run[0]), LONG_NUMBER)},}}", letters)
    return "" if shape == letters else shape
