"""Spreadsheets and column files, which pandas reads exactly: every cell as text."""

import io
import warnings
from itertools import takewhile
from typing import Any

import pandas as pd

from tweetgen.errors import TweetgenError

PARQUET, FEATHER, EXCEL, OLD_EXCEL, ODS = "Parquet", "Feather", "Excel", "old Excel", "ODS"
MAGIC = {b"PAR1": PARQUET, b"ARROW1": FEATHER, b"FEA1": FEATHER, b"\xd0\xcf\x11\xe0": OLD_EXCEL}
PACKAGES = {OLD_EXCEL: "xlrd", ODS: "odfpy", EXCEL: "openpyxl"}
ENGINES: dict[str, Any] = PACKAGES | {ODS: "odf"}


def kind_of(start: bytes, name: str) -> str:
    """What kind of sheet a file is by its first bytes; "" if it is none."""
    if not start.startswith(b"PK\x03\x04"):
        return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), "")
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
    """The rows of the longest sheet, and those that begin like it; the names of the others."""
    try:
        return _rows(kind, io.BytesIO(content))
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


def _rows(kind: str, file: io.BytesIO) -> tuple[list[list[str]], list[str]]:
    """All cells as text, and the names of sheets that are not read."""
    if kind not in ENGINES:
        read_file = pd.read_parquet if kind == PARQUET else pd.read_feather
        frame = read_file(file, dtype_backend="pyarrow")
        return [list(map(str, frame.columns)), *_cells(frame)], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries about themselves and about styles
        as_text: Any = {"dtype": str, "keep_default_na": False, "na_filter": False}
        frames = pd.read_excel(file, None, header=None, engine=ENGINES[kind], **as_text)
    sheets = {str(name): _cells(frame) for name, frame in frames.items()}
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


def _cells(frame: pd.DataFrame) -> list[list[str]]:
    """The rows of a frame as text; an empty cell is "" and not a missing value."""
    filled = frame.astype(object).where(frame.notna(), "")
    return [list(map(str, row)) for row in filled.to_numpy().tolist()]
