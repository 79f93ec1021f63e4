"""The day on which a tweet was written, as the many tools that export tweets write it."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from tweetgen.errors import TweetgenError
from tweetgen.reading.encoding import as_arrow

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

YEAR_FIRST = re.compile(r"\s*(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")  # "2015-02-24T11:35:52Z"
# "Wed Oct 10 20:19:24 +0000 2018", "Mon Apr 06 22:19:45 PDT 2009"
YEAR_LAST = re.compile(r"\s*[A-Za-z]{3} ([A-Za-z]{3}) +(\d{1,2}) [\d:]{5,8} [+\-\w:]{1,6} (\d{4})")
DAY_MONTH = re.compile(r"(?<!\d)(\d{1,2})[ -]([A-Za-z]{3})[a-z]{0,6},?[ -](\d{4})")  # "10 Oct 2018"
# "Oct 10, 2018"
MONTH_DAY = re.compile(r"(?<![A-Za-z])([A-Za-z]{3})[a-z]{0,6} (\d{1,2}),? (\d{4})")
NUMBERS = re.compile(r"\s*(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})(?!\d)")  # "14/2/17"
EPOCH = re.compile(r"\s*(\d{10})(?:\d{3}|\.\d+)?\s*")  # seconds or milliseconds since 1970
CLOCK = r" \d\d:\d\d:\d\d"
YEARS = range(1678, 2262)  # what datetime64[ns] can say


def parse_date(text: str, order: str = "") -> date | None:
    """The day that `text` names, as written and in its own time zone, or None if it cannot be read.

    `order` says how "14/2/17" is meant, "day" or "month" first; without it such a date is None.
    """
    try:
        if match := YEAR_FIRST.match(text):
            return date(int(match[1]), int(match[2]), int(match[3]))
        if match := YEAR_LAST.match(text) or MONTH_DAY.search(text):
            return date(int(match[3]), MONTHS.index(match[1].lower()) + 1, int(match[2]))
        if match := DAY_MONTH.search(text):
            return date(int(match[3]), MONTHS.index(match[2].lower()) + 1, int(match[1]))
        if order and (match := NUMBERS.match(text)):
            day, month = (match[1], match[2]) if order == "day" else (match[2], match[1])
            year = int(match[3]) if len(match[3]) == 4 else 2000 + int(match[3])
            return date(year, int(month), int(day))
        if match := EPOCH.fullmatch(text):
            return datetime.fromtimestamp(int(match[1]), UTC).date()
    except ValueError:  # no such month or day
        return None
    return None


def parse_dates(texts: Any, order: str) -> Any:
    """The days of texts (list or Arrow) as datetime64[ns] (N,), midnight UTC; NaT where unknown."""
    column = as_arrow(texts)
    if pa.compute.all(pa.compute.match_substring_regex(column, r"^\d{4}-")).as_py():
        column = pa.compute.utf8_slice_codeunits(column, 0, 11)
    else:
        column = pa.compute.replace_substring_regex(column, CLOCK, " 00:00:00")
    encoded = column.dictionary_encode()
    days = [parse_date(text, order) for text in encoded.dictionary.to_pylist()]
    known = [str(day) if day and day.year in YEARS else "NaT" for day in days]
    found = np.array(known, dtype="datetime64[D]").astype("datetime64[ns]")
    return found[encoded.indices.to_numpy()]


def number_order(texts: Iterable[str]) -> str:
    """Which number of dates like "14/2/17" is the "day" or "month" first; "" if it is not clear."""
    pairs = [(int(match[1]), int(match[2])) for match in map(NUMBERS.match, texts) if match]
    day_first = any(first > 12 for first, _ in pairs)
    month_first = any(second > 12 for _, second in pairs)
    if day_first == month_first:
        return ""
    return "day" if day_first else "month"


def limit(text: str, flag: str) -> date | None:
    """The day given as --since or --until; None for ""."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise TweetgenError(f"{flag} {text} is not a day. Write it as YYYY-MM-DD.") from None
