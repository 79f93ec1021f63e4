"""Stand-in until reading gives the table itself: the batches of `read_batches` as a DataFrame."""

from collections.abc import Callable, Sequence

import pandas as pd

from tweetgen.reading.dates import limit, parse_date
from tweetgen.reading.mojibake import repair
from tweetgen.reading.read import _from_repr, _json_parts, _line_parts, describe, find_sources
from tweetgen.settings import ReadingSettings


def read(
    paths: Sequence[str], settings: ReadingSettings, tell: Callable[[str], None]
) -> pd.DataFrame:
    """The raw tweets: text, date, source, repaired."""
    frames = []
    for source in find_sources(paths, settings):
        texts: list[str] = []
        days: list[str] = []
        joined = 0
        line_formats = ("csv", "jsonl", "txt")
        parts = _line_parts if source.format in line_formats else _json_parts
        for _, some, dates, wide in parts(source, 0, 1):
            texts += some
            days += dates
            joined += wide
        if source.python_reprs:
            texts = [_from_repr(text) for text in texts]
        mended = [repair(text, source.mojibake) for text in texts] if source.mojibake else texts
        repaired = [old != new for old, new in zip(texts, mended, strict=True)]
        frame = pd.DataFrame({"text": _column(mended), "repaired": repaired, "source": source.name})
        dated = limit(settings.since, "--since") or limit(settings.until, "--until")
        found = [parse_date(day, source.date_order) for day in days] if dated else None
        frame["date"] = pd.to_datetime(pd.Series(found, index=frame.index), utc=True)
        frame["source"] = frame["source"].astype("category")
        frames.append(frame)
        tell(describe(source, len(frame)))
        if joined:
            tell(f"  {joined:,} rows had unquoted separators in the text")
    return pd.concat(frames, ignore_index=True)


def _column(texts: list[str]) -> pd.Series:
    try:
        return pd.Series(texts, dtype="str")
    except UnicodeEncodeError:  # lone surrogates
        mended = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
        return pd.Series(mended, dtype="str")
