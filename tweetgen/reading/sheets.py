"""Spreadsheets and column files, which pandas reads exactly: every cell as text."""

import io
import warnings
from itertools import takewhile
from typing import Any

import pandas as pd

from tweetgen.errors import TweetgenError

PARQUET, FEATHER, EXCEL, OLD_EXCEL, ODS = "Parquet", "Feather", "Excel", "old Excel", "ODS"
ENGINES = {EXCEL: "openpyxl", OLD_EXCEL: "xlrd", ODS: "odf"}
PACKAGES = {OLD_EXCEL: "xlrd", ODS: "odfpy", EXCEL: "openpyxl"}


def kind_of(start: bytes, name: str) -> str:
    """What kind of sheet a file is by its first bytes; "" if it is none.

    Raises:
        TweetgenError: it is an office document that holds no table.
    """
    if start.startswith(b"PAR1"):
        return PARQUET
    if start.startswith((b"ARROW1", b"FEA1")):
        return FEATHER
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        return OLD_EXCEL
    if not start.startswith(b"PK\x03\x04"):
        return ""
    if b"Index/" in start and b".iwa" in start:
        raise TweetgenError(
            f"{name} is a document of Apple Numbers. Export it as CSV and give that."
        )
    if b"application/vnd.oasis.opendocument.spreadsheet" in start[:200]:
        return ODS
    if b"xl/" in start:
        return EXCEL
    raise TweetgenError(f"{name} is an office document. Save it as CSV and give that.")


def read(kind: str, content: bytes, name: str) -> tuple[list[list[str]], list[str]]:
    """The rows, their header first, and the names of sheets that are not read.

    Of several sheets the longest is read, and those that begin like it.

    Raises:
        TweetgenError: a package is missing, or the file is damaged.
    """
    try:
        if kind in ENGINES:
            return _spreadsheet(content, ENGINES[kind])
        return _column_file(content, kind), []
    except ImportError:
        raise TweetgenError(
            f"{name} needs the package {PACKAGES[kind]}: pip install {PACKAGES[kind]}, "
            "or save the file as CSV."
        ) from None
    except Exception as error:  # the libraries raise whatever a damaged file leads them to
        reason = str(error).partition("\n")[0]
        raise TweetgenError(
            f"{name} is damaged or no {kind} file ({reason}). Save it as CSV and give that."
        ) from error


def _spreadsheet(content: bytes, engine: Any) -> tuple[list[list[str]], list[str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries about themselves and about styles
        frames = pd.read_excel(
            io.BytesIO(content),
            sheet_name=None,
            header=None,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            engine=engine,
        )
    sheets = {
        str(name): [[_shown(cell) for cell in row] for row in frame.to_numpy().tolist()]
        for name, frame in frames.items()
    }
    longest = max(sheets.values(), key=len)
    rows, unread = list(longest), []
    for name, sheet in sheets.items():
        pairs = zip(sheet, longest, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if same and sheet is not longest:
            rows += sheet[same:]
        elif not same and sheet:
            unread.append(name)
    return rows, unread


def _column_file(content: bytes, kind: str) -> list[list[str]]:
    read_file = pd.read_parquet if kind == PARQUET else pd.read_feather
    frame = read_file(io.BytesIO(content), dtype_backend="pyarrow")
    columns = [frame.iloc[:, place].tolist() for place in range(frame.shape[1])]
    rows = [[_shown(cell) for cell in row] for row in zip(*columns, strict=True)]
    return [[str(name) for name in frame.columns], *rows]


def _shown(cell: Any) -> str:
    """A cell as text; an empty one is "" and not a missing value."""
    if isinstance(cell, str):
        return cell
    return "" if cell is None or cell is pd.NA or cell != cell else str(cell)
