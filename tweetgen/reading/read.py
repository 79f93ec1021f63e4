"""Raw tweets out of whatever file people have, as one pandas DataFrame.

CSV, TSV, JSON in any nesting, plain text, X archives, spreadsheets, Parquet and Feather, each of
them compressed or not. What cannot be read safely is a TweetgenError with its line, never a
silently wrong column.
"""

import html
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tweetgen.errors import TweetgenError
from tweetgen.reading import mojibake
from tweetgen.reading.archives import Member, open_stream, opened, shown, tweets_of
from tweetgen.reading.dates import limit, parse_dates
from tweetgen.reading.formats import Part, parts_of
from tweetgen.settings import ReadingSettings

MAX_LINES_TOLD = 5  # members of one archive; of more there is one line for all


@dataclass
class Report:
    """What is said of a file after it was read."""

    kind: str = ""  # "CSV, UTF-8, column 'text'"
    num_tweets: int = 0
    num_joined: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, part: Part) -> None:
        """Take in what is said of a part of the file."""
        self.num_tweets += len(part.texts)
        self.num_joined += part.num_joined
        self.left_out.update(part.left_out)


def read(
    paths: Sequence[str], settings: ReadingSettings, tell: Callable[[str], None]
) -> pd.DataFrame:
    """The tweets of all files, in their order.

    Columns: `text` (str), `date` (datetime64[ns, UTC]: midnight of the day as it is written; NaT
    if unknown), `source` (category: the file's name), `repaired` (bool: wrong characters in the
    text were mended).

    Raises:
        TweetgenError: a file that cannot be read safely.
    """
    since, until = limit(settings.since, "--since"), limit(settings.until, "--until")
    if since and until and since > until:
        raise TweetgenError(f"--since {since} is after --until {until}. Exchange them.")
    frames = [frame for path in paths for frame in _read_path(path, settings, tell)]
    names = list(dict.fromkeys(str(frame["source"].iloc[0]) for frame in frames if len(frame)))
    for frame in frames:
        frame["source"] = frame["source"].cat.set_categories(names)
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def _read_path(
    path: str, settings: ReadingSettings, tell: Callable[[str], None]
) -> Iterator[pd.DataFrame]:
    with opened(path) as members:
        parts, notes, others = tweets_of(members)
        if parts and settings.format in ("auto", "archive"):
            yield _read_archive(path, parts, notes, settings, tell)
            unread = [m.inside for m in members if m not in parts and m not in notes]
            _tell_unread([name for name in unread if name.endswith(".js")], tell)
        elif others:
            if len(others) > MAX_LINES_TOLD:
                yield _read_many(path, others, settings, tell)
            else:
                for member in others:
                    yield _read_members([member], member.name, settings, tell)
        else:
            raise TweetgenError(
                f"{path} is a folder or zip without tweets. Give the files, or an X archive."
            )


def _tell_unread(names: list[str], tell: Callable[[str], None]) -> None:
    short = [name.rpartition("/")[2] for name in names]
    if short:
        more = f" and {len(short) - 8} more" if len(short) > 8 else ""
        tell(f"  not read: {', '.join(sorted(short)[:8])}{more}")


def _read_many(
    path: str, members: list[Member], settings: ReadingSettings, tell: Callable[[str], None]
) -> pd.DataFrame:
    name = f"{shown(path)}, {len(members):,} files"
    return _read_members(members, name, settings, tell)


def _read_members(
    members: list[Member], name: str, settings: ReadingSettings, tell: Callable[[str], None]
) -> pd.DataFrame:
    """The tweets of files that count as one; says what they were read as."""
    report = Report()
    frames = []
    for member in members:
        with open_stream(member) as stream:
            frames.append(_collect(parts_of(stream, member.name, settings), name, report))
    _tell_report(name, report, tell)
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def _tell_report(name: str, report: Report, tell: Callable[[str], None]) -> None:
    """Print what a file was read as: `airline.csv: CSV, UTF-8, column 'text', 14,640 tweets`."""
    tell(f"{name}: {report.kind}, {report.num_tweets:,} tweets")
    if report.num_joined:
        tell(f"  {report.num_joined:,} rows had unquoted separators in the text")
    if report.left_out:
        counts = (
            f"{number:,} {kind}{'s' if number > 1 and not kind.startswith('texts') else ''}"
            for kind, number in report.left_out.most_common()
        )
        tell(f"  left out: {', '.join(counts)}")
    for note in report.notes:
        tell(f"  {note}")


def _read_archive(
    path: str,
    members: list[Member],
    notes: list[Member],
    settings: ReadingSettings,
    tell: Callable[[str], None],
) -> pd.DataFrame:
    """The tweets of an X archive, each long post in full."""
    name = shown(path)
    report = Report()
    whole = _long_posts(notes, settings)
    frames = []
    for member in members:
        with open_stream(member) as stream:
            parts = parts_of(stream, member.name, settings, is_archive=True)
            frames.append(_collect(_lengthened(parts, whole, report), name, report))
    if whole:
        report.notes.append(f"not read: {len(whole):,} long posts of note-tweet.js without a tweet")
    _tell_report(name, report, tell)
    return pd.concat(frames, ignore_index=True)


START_CHARACTERS = 40  # enough to tell long posts apart
LEADING_NAMES = re.compile(
    r"(?:@\w+\s+)*+"
)  # of a reply: the tweet has them, the long post may not


def _start(text: str) -> str:
    """What a long post and the tweet that is its start have in common."""
    return " ".join(LEADING_NAMES.sub("", text).split())[:START_CHARACTERS]


def _long_posts(members: Iterable[Member], settings: ReadingSettings) -> dict[str, str]:
    """The texts of note-tweet.js by their first characters."""
    found = {}
    for member in members:
        with open_stream(member) as stream:
            for part in parts_of(stream, member.name, settings, is_archive=True):
                found.update({_start(text): text for text in part.texts})
    return found


def _lengthened(parts: Iterator[Part], whole: dict[str, str], report: Report) -> Iterator[Part]:
    """The parts with long posts in place of the starts that the tweets have of them."""
    used = set()
    for part in parts:
        if whole:
            texts = []
            for text in part.texts:
                start = _start(html.unescape(text))
                longer = whole.get(start, "")
                if longer and len(longer) >= len(text.rpartition("…")[0] or text):
                    used.add(start)
                    names = LEADING_NAMES.match(text)
                    text = longer if longer[:1] == "@" or not names else names[0] + longer
                texts.append(text)
            part.texts = texts
        yield part
    for start in used:
        del whole[start]
    if used:
        report.notes.append(f"{len(used):,} long posts are in full, from note-tweet.js")


def _collect(parts: Iterable[Part], name: str, report: Report) -> pd.DataFrame:
    """The parts of a file as one table, their characters mended by what the first texts show."""
    iterator = iter(parts)
    head: list[Part] = []
    sample: list[str] = []
    for part in iterator:
        head.append(part)
        sample += part.texts if isinstance(part.texts, list) else part.texts.to_pylist()
        if len(sample) >= mojibake.SAMPLE_TEXTS:
            break
    mend = mojibake.mending(sample[: mojibake.SAMPLE_TEXTS])
    texts, repaired = [], []
    dates: list[Any] = []  # or how many are unknown
    for part in chain(head, iterator):
        column = pa.array(part.texts, pa.large_string())
        report.add(part)
        column, changed = mend.apply(column)
        texts.append(column)
        repaired.append(changed)
        dates.append(parse_dates(part.dates, part.date_order) if len(part.dates) else len(column))
        kind = part.kind() if callable(part.kind) else part.kind
    if not head:
        raise TweetgenError(f"{name} holds no tweets. Give a file with tweets.")
    report.kind = report.kind or kind + (f", mojibake ({mend.family})" if mend.family else "")
    days = [np.full(d, "NaT", "datetime64[ns]") if isinstance(d, int) else d for d in dates]
    column = pd.array(pa.chunked_array(texts), dtype=pd.StringDtype("pyarrow", np.nan))
    return pd.DataFrame(
        {
            "text": pd.Series(column),
            "date": pd.DatetimeIndex(np.concatenate(days)).tz_localize("UTC"),
            "source": pd.Categorical.from_codes(np.zeros(len(column), np.int8), pd.Index([name])),
            "repaired": np.concatenate(repaired),
        }
    )
