"""Which column, or JSON key, of a file holds the tweets, and which the dates."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tweetgen.errors import TweetgenError
from tweetgen.reading.dates import NUMBERS, number_order, parse_date
from tweetgen.reading.tables import NUMBER


def words(names: str) -> tuple[str, ...]:
    """The words of a long list."""
    return tuple(names.split())


# Names of text columns as met in 126 files, the surest first, in lower case without punctuation.
TEXT_NAMES = words("""
    fulltext text tweet tweettext tweetcontent tweetbody content rawcontent message body statustext
    status originaltweet sentimenttext tweets texts posttext post msg twitts feed
""")
DATE_NAMES = words("""
    createdat tweetcreated tweetcreatedat datetime timestamp date tweetdate time tweettime
    postedat posteddate publishdate publishedat published posted created createdtime createddate
    postdate creationtimestamp
""")
OTHER_NAMES = words("""
    id idstr tweetid statusid itemid user username userid screenname author name label target
    sentiment class category emotion polarity score lang language source location retweets likes
    retweetcount favoritecount likecount replycount url link type hashtags
""")
LIKE_TEXT = re.compile("tweet|text|content|message|body|post|status|comment")
# Copies of the text that some tool has changed: "Clean_tweet", "lemmatized_text"
CHANGED = re.compile("clean|proces|lemma|token|stem|normal|preproc|filter|without|no_?stop|transl")
# Never taken unasked: "description", "user.name", "quoted_text", "source"
NEVER = re.compile(
    "user|name|author|source|descr|bio|location|place|url|link|lang|date|time|created|count|quote"
    "|retweet|repl|hashtag|mention|media|photo|label|symbol|profile|reason|title|id$|ids$"
)
# What machines write: links, tags, lists, single words and numbers
NOT_PROSE = re.compile(r"\s*(?:https?://\S*|<.*|\[.*\]|\{.*\}|[\x21-\x7e]*)\s*", re.S)
LETTERS = re.compile(r"[^\W\d_]{2}")
NEVER_RANK = 99
RIVAL = 0.4  # a column with this share of the best one's prose could be the text as well


@dataclass(frozen=True)
class Sample:
    """The first rows of a file, by column."""

    names: Sequence[str]  # "" where there is no header
    columns: Sequence[Sequence[str]]
    file_name: str

    def listed(self) -> str:
        """The columns for a message, 300 characters at most."""
        if not any(self.names):
            return f"no header, columns 1 to {len(self.columns)}"
        names = ", ".join(name.strip() for name in self.names)
        return names if len(names) <= 300 else names[:299] + "…"


@functools.lru_cache(10_000)
def normalised(name: str) -> str:
    """`" Tweet_Text"` -> `"tweettext"`."""
    return re.sub(r"[\W_]", "", name).lower()


def prose_score(values: Sequence[str]) -> float:
    """How much a column looks like tweets: characters of prose per row, each text once."""
    prose = (v for v in set(values) if LETTERS.search(v) and not NOT_PROSE.fullmatch(v[:1000]))
    lengths = [min(len(v), 280) for v in prose if len(v) > 40 or not parse_date(v, "day")]
    return sum(lengths) / max(len(values), 1)


def find_text(sample: Sample, wanted: str = "") -> int:
    """The index of the column of tweets; TweetgenError if none or several could be it."""
    if wanted:
        return _named_column(sample, wanted)
    scores = [prose_score(values) for values in sample.columns]
    ranks = [_rank(name) for name in sample.names]
    for rank in sorted(set(ranks) - {NEVER_RANK}):
        rated = [index for index in range(len(ranks)) if ranks[index] == rank and scores[index] > 0]
        if rated:
            best = max(rated, key=lambda index: scores[index])
            _refuse_rivals(sample, best, [i for i in rated if scores[i] > RIVAL * scores[best]])
            return best
    known = [index for index in range(len(ranks)) if ranks[index] < len(TEXT_NAMES)]
    if len(known) == 1 or len(scores) == 1:  # tweets such as "NA" or "007"
        return known[0] if known else 0
    raise TweetgenError(
        f"{sample.file_name} has no column that is plainly the tweets (found: {sample.listed()}). "
        "Name it with --text_column."
    )


def _rank(name: str) -> int:
    """How sure a name makes us that the column holds the tweets: the lower, the surer."""
    plain = normalised(name)
    if plain in TEXT_NAMES:
        return TEXT_NAMES.index(plain)
    if CHANGED.search(plain):
        return NEVER_RANK - 1
    if NEVER.search(plain):
        return NEVER_RANK
    return len(TEXT_NAMES) if LIKE_TEXT.search(plain) else len(TEXT_NAMES) + 1


def is_text_name(name: str) -> bool:
    """Whether a name is one that texts usually have."""
    return normalised(name) in TEXT_NAMES


def is_like_text(name: str) -> bool:
    """Whether a name is like those, such as "textOriginal"."""
    return _rank(name) == len(TEXT_NAMES)


def _refuse_rivals(sample: Sample, best: int, rivals: list[int]) -> None:
    """Raise TweetgenError if columns of the same rank differ and look as good."""
    differing = [index for index in rivals if sample.columns[index] != sample.columns[best]]
    if differing:
        shown = [repr(name) if name else str(place) for place, name in enumerate(sample.names, 1)]
        names = " and ".join(shown[index] for index in sorted([best, *differing]))
        raise TweetgenError(
            f"{sample.file_name} has several columns that could be the tweets: {names}. "
            f"Choose with --text_column, such as --text_column {best + 1} by position."
        )


def _named_column(sample: Sample, wanted: str) -> int:
    """The column of that name, or failing that, at that position from 1."""
    for fold in (str, lambda name: name.strip(" \ufeff").casefold()):
        found = [index for index, name in enumerate(sample.names) if fold(name) == fold(wanted)]
        if any(sample.columns[index] != sample.columns[found[0]] for index in found):
            places = " and ".join(str(index + 1) for index in found)
            raise TweetgenError(
                f"{sample.file_name} has {len(found)} columns called {wanted!r}. "
                f"Choose by position with --text_column: {places}."
            )
        if found:
            return found[0]
    if wanted.isdecimal() and 1 <= int(wanted) <= len(sample.columns):
        return int(wanted) - 1
    raise TweetgenError(
        f"{sample.file_name} has no column {wanted!r} (found: {sample.listed()}). "
        "Give one of these with --text_column."
    )


def find_date(sample: Sample, is_needed: bool) -> tuple[int, str]:
    """The index of the column of dates and the order of its numbers; (-1, "") if there is none.

    A TweetgenError if dates are needed and there are none, or they can be read in two ways.
    """
    problem = (
        f"{sample.file_name} has no dates that can be read (found: {sample.listed()}). "
        "Leave out --since and --until."
    )
    places = {name: place for place, name in enumerate(DATE_NAMES)}
    named = [(places.get(normalised(name), 99), index) for index, name in enumerate(sample.names)]
    for place, index in sorted(named):
        values = [value for value in sample.columns[index] if value.strip()]
        order = number_order(values)
        # in a column of any other name a number may be an id
        may_be = values if place < 99 else [v for v in values if not NUMBER.fullmatch(v)]
        num_dated = sum(parse_date(value, order or "day") is not None for value in may_be)
        if not values or num_dated < 0.9 * len(values):
            continue
        if order or not any(map(NUMBERS.match, values)):
            return index, order
        problem = (
            f"the dates of {sample.file_name}, such as {values[0]!r}, can be read in two ways. "
            "Leave out --since and --until, or write them as YYYY-MM-DD."
        )
        break
    if is_needed:
        raise TweetgenError(problem)
    return -1, ""
