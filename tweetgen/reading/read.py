"""Raw tweets out of whatever file people have, as one pandas DataFrame.

What cannot be read safely is a TweetgenError with its line, never a silently wrong column.
"""

import html
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from tweetgen.errors import TweetgenError
from tweetgen.reading import mojibake
from tweetgen.reading.archives import Member, open_stream, opened, shown, tweets_of
from tweetgen.reading.dates import limit, parse_dates
from tweetgen.reading.encoding import as_arrow
from tweetgen.reading.formats import Part, parts_of
from tweetgen.settings import ReadingSettings

MAX_LINES_TOLD = 5  # members of one archive; of more there is one line for all
MAX_NAMES_TOLD = 8  # of files that are not read
START_CHARACTERS = 40  # enough to tell long posts apart
# Of a reply: the tweet begins with them, the long post may not
LEADING_NAMES = re.compile(r"(?:@\w+\s+)*+")

Tell = Callable[[str], None]


def read(paths: Sequence[str], settings: ReadingSettings, tell: Tell) -> pd.DataFrame:
    """The tweets of all files, in their order; TweetgenError for one that cannot be read safely.

    Columns: `text` (str), `date` (datetime64[ns, UTC]: midnight of the day as it is written, or
    NaT), `source` (category: the file's name), `repaired` (bool: wrong characters were mended).
    """
    since, until = limit(settings.since, "--since"), limit(settings.until, "--until")
    if since and until and since > until:
        raise TweetgenError(f"--since {since} is after --until {until}. Exchange them.")
    frames = [frame for path in paths for frame in _read_path(path, settings, tell)]
    names = list(dict.fromkeys(str(frame["source"].iloc[0]) for frame in frames if len(frame)))
    for frame in frames:
        frame["source"] = frame["source"].cat.set_categories(names)
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def _read_path(path: str, settings: ReadingSettings, tell: Tell) -> Iterator[pd.DataFrame]:
    with opened(path) as members:
        parts, notes, others = tweets_of(members)
        if parts and settings.format in ("auto", "archive"):
            yield from _read_members(parts, shown(path), settings, tell, notes)
            rest = [m.inside.rpartition("/")[2] for m in members if m not in parts + notes]
            if unread := sorted(name for name in rest if name.endswith(".js")):
                more = len(unread) - MAX_NAMES_TOLD
                names = ", ".join(unread[:MAX_NAMES_TOLD])
                tell(f"  not read: {names}" + (f" and {more} more" if more > 0 else ""))
        elif len(others) > MAX_LINES_TOLD:
            name = f"{shown(path)}, {len(others):,} files"
            yield from _read_members(others, name, settings, tell)
        elif others:
            for member in others:
                yield from _read_members([member], member.name, settings, tell)
        else:
            raise TweetgenError(
                f"{path} is a folder or zip without tweets. Give the files, or an X archive."
            )


def _read_members(
    members: Sequence[Member],
    name: str,
    settings: ReadingSettings,
    tell: Tell,
    notes: Sequence[Member] | None = None,
) -> list[pd.DataFrame]:
    """The tweets of files that count as one, `notes` being an X archive's long posts."""
    posts = _LongPosts(notes or (), settings)
    found: list[tuple[pd.DataFrame, str]] = []
    said: Counter[str] = Counter()
    for member in members:
        with open_stream(member) as stream:
            parts = parts_of(stream, member.name, settings, is_archive=notes is not None)
            found += _collect(parts, name, said, posts)
    if not found:  # an archive has empty files beside others
        raise TweetgenError(f"{name} holds no tweets. Give a file with tweets.")
    frames, num_joined = [frame for frame, _ in found], said.pop("", 0)
    # airline.csv: CSV, UTF-8, column 'text', 14,640 tweets
    tell(f"{name}: {found[0][1]}, {sum(map(len, frames)):,} tweets")
    if num_joined:
        tell(f"  {num_joined:,} rows had unquoted separators in the text")
    if said:
        counts = (f"{number:,} {_counted(kind, number)}" for kind, number in said.most_common())
        tell(f"  left out: {', '.join(counts)}")
    if posts.used:
        tell(f"  {len(posts.used):,} long posts are in full, from note-tweet.js")
    if num_unused := len(posts.whole) - len(posts.used):
        tell(f"  not read: {num_unused:,} long posts of note-tweet.js without a tweet")
    return frames


def _counted(kind: str, number: int) -> str:
    """`record without a text` -> `records without a text` for more than one."""
    if number == 1 or kind.startswith("texts"):
        return kind
    return re.sub(r"record\b|$", lambda end: end[0] + "s", kind, count=1)


class _LongPosts:
    """The long posts of an X archive, whose starts alone are among its tweets."""

    def __init__(self, members: Iterable[Member], settings: ReadingSettings) -> None:
        self.whole: dict[str, str] = {}  # by their starts
        self.used: set[str] = set()
        for member in members:
            with open_stream(member) as stream:
                for part in parts_of(stream, member.name, settings, is_archive=True):
                    self.whole.update((_start(text), text) for text in part.texts)

    def full(self, text: str) -> str:
        """The long post that a tweet is the start of; the tweet itself if there is none."""
        start = _start(html.unescape(text))
        longer = self.whole.get(start, "")
        if not longer or len(longer) < len(text.rpartition("…")[0] or text):
            return text
        self.used.add(start)
        names = LEADING_NAMES.match(text)
        return longer if longer[:1] == "@" or not names else names[0] + longer


def _start(text: str) -> str:
    return " ".join(LEADING_NAMES.sub("", text).split())[:START_CHARACTERS]


def _collect(
    parts: Iterable[Part], name: str, said: Counter[str], posts: _LongPosts
) -> Iterator[tuple[pd.DataFrame, str]]:
    """The parts of a file, if any, as one table of mended texts, and what it was read as."""
    columns, days, kind = [], [], ""
    for part in parts:
        texts = [posts.full(text) for text in part.texts] if posts.whole else part.texts
        columns.append(as_arrow(texts))
        # how many are unknown, or the days
        days.append(parse_dates(part.dates, part.date_order) if part.dates else len(texts))
        said.update(part.counts)
        kind = part.kind()
    if not columns:
        return
    mend = mojibake.mending(pa.chunked_array(columns).slice(0, mojibake.SAMPLE_TEXTS).to_pylist())
    mended = [mend.apply(columns.pop(0)) for _ in range(len(columns))]
    text = pa.chunked_array([column for column, _ in mended])
    known = [np.full(d, "NaT", "datetime64[ns]") if isinstance(d, int) else d for d in days]
    frame = pd.DataFrame(
        {
            "text": pd.Series(pd.array(text, dtype=pd.StringDtype("pyarrow", np.nan))),
            "date": pd.DatetimeIndex(np.concatenate(known)).tz_localize("UTC"),
            "source": pd.Categorical.from_codes(np.zeros(len(text), np.int8), pd.Index([name])),
            "repaired": np.concatenate([changed for _, changed in mended]),
        }
    )
    yield frame, kind + (f", mojibake ({mend.family})" if mend.family else "")
