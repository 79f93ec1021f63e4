"""Tweets in JSON: lines, arrays, the files of an X archive, and the answers of X's interfaces."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from tweetgen.errors import TweetgenError
from tweetgen.reading.encoding import FILLING, MAX_RECORD

DECODER = json.JSONDecoder(strict=False)  # raw control characters in strings are common, harmless

BETWEEN = re.compile(rf"[\s,;\ufeff{FILLING}]*+")
# "window.YTD.tweets.part0 = ", "Grailbird.data.tweets_2015_06 = "
ASSIGNMENT = re.compile(r"(?:window\.YTD|Grailbird\.data)\.([\w.]*)\s*=\s*")
# {"data": [ ... ]}: the array is read tweet by tweet, however long it is
WRAPPER = re.compile(r'\{\s*"(?:data|statuses|tweets|results)"\s*:\s*\[')
LOOK_AHEAD = 256  # characters that hold any of these openings

# What X's streams send between tweets, and the answer to a search that found none
NOTICES = frozenset(
    ("delete", "limit", "scrub_geo", "status_withheld", "warning", "errors", "meta")
)
X_KEYS = ("full_text", "text")  # of X's own objects, the better one first
WRAPPER_KEYS = ("tweet", "data", "statuses", "tweets", "results")
MOST_WRAPPERS = 3  # around one another: {"data": {"tweets": [{"tweet": {...}}]}}
LONGER_FORMS = ('"full_text"', '"extended_tweet"', '"note_tweet"')


def parse_lines(text: str, first_line: int, name: str) -> tuple[list[Any], Sequence[int]]:
    """The value of each line of JSON, and their line numbers; TweetgenError for a broken line."""
    body = text.rstrip(FILLING + "\n")
    num_lines = body.count("\n") + 1
    try:  # all lines in one call: 2.5 times as fast as one by one
        values = DECODER.decode("[" + body.replace("\n", ",") + "]")
        if len(values) == num_lines:
            return values, range(first_line, first_line + num_lines)
    except (ValueError, RecursionError):
        pass
    lines = [(number, line) for number, line in enumerate(body.split("\n"), first_line)]
    filled = [(number, line) for number, line in lines if line.strip()]
    return [_parse_line(line, n, name) for n, line in filled], [number for number, _ in filled]


def plain_texts(values: list[Any], key: str, text: str) -> list[str] | None:
    """The texts if each value simply has one under `key`, as `text` says; else None.

    3 times as fast as `text_of(tweet, key)` for each.
    """
    if any(longer in text for longer in LONGER_FORMS):
        return None
    try:
        texts = [value[key] for value in values]
    except (KeyError, TypeError):
        return None
    return texts if set(map(type, texts)) == {str} else None


def _parse_line(line: str, number: int, name: str) -> Any:
    try:
        return DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise _broken(number, name, error) from None


def _broken(line: int, name: str, error: Exception) -> TweetgenError:
    reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested or numbered too deep"
    return TweetgenError(
        f"line {line:,} of {name} is not valid JSON ({reason}). Correct or delete it."
    )


class JsonStream:
    """The values of a text of JSON, one after another, however long it is: `for line, value in ...`

    Arrays at the top are opened, so that their elements come singly; so is {"data": [...]}.
    """

    def __init__(self, texts: Iterator[str], name: str) -> None:
        self._texts = texts
        self._name = name
        self._buffer = ""
        self._position = 0
        self._line = 1  # at `_counted`
        self._counted = 0

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        closers: list[str] = []  # what ends the array or wrapper we are in
        while self._skip():
            start = self._buffer[self._position]
            if closers and start == closers[-1]:
                closers.pop()
                self._position += 1
            elif closers == ["}"]:  # after the array of a wrapper: "meta": {...}
                self._skip_member()
            elif not closers and (match := WRAPPER.match(self._buffer, self._position)):
                closers = ["}", "]"]
                self._position = match.end()
            elif not closers and start == "[":
                closers = ["]"]
                self._position += 1
            else:
                line = self._count_lines()
                yield line, self._value()
        if closers:
            raise TweetgenError(
                f"{self._name} ends in the middle: it is incomplete. Copy it again."
            )

    def _skip(self) -> bool:
        """Go to the next value or bracket; False at the end."""
        while True:
            match = BETWEEN.match(self._buffer, self._position)
            assert match is not None  # it matches the empty string too
            self._position = match.end()
            if len(self._buffer) - self._position < LOOK_AHEAD and self._fill():
                continue
            if not (match := ASSIGNMENT.match(self._buffer, self._position)):
                return self._position < len(self._buffer)
            self._position = match.end()

    def _fill(self) -> bool:
        """Take in more text; False at the end."""
        text = next(self._texts, None)
        if text is None:
            return False
        self._count_lines()
        self._buffer = self._buffer[self._position :] + text
        self._position = self._counted = 0
        return True

    def _count_lines(self) -> int:
        """The line of the position."""
        self._line += self._buffer.count("\n", self._counted, self._position)
        self._counted = self._position
        return self._line

    def _value(self) -> Any:
        """The value at the position, taking in as much text as it needs."""
        while True:
            try:
                value, end = DECODER.raw_decode(self._buffer, self._position)
            except (ValueError, RecursionError) as error:
                if len(self._buffer) - self._position > MAX_RECORD or not self._fill():
                    raise _broken(self._count_lines(), self._name, error) from None
                continue
            if end == len(self._buffer) and self._fill():  # 12 may go on as 123
                continue
            self._position = end
            return value

    def _skip_member(self) -> None:
        """Pass over `"name": value` of an object."""
        self._value()
        self._skip()
        if self._buffer[self._position : self._position + 1] == ":":
            self._position += 1
            self._skip()
            self._value()


def tweets_in(value: Any) -> Iterator[Any]:
    """The tweets of a JSON value: itself, or what one of its WRAPPER_KEYS holds."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(reversed(value))
            continue
        if isinstance(value, dict) and value.keys().isdisjoint(X_KEYS):
            if value.keys() <= NOTICES:
                continue
            inner = _wrapped(value)
            if _holds_tweets(inner):
                pending.append(inner)
                continue
        yield value


def _wrapped(value: dict[str, Any]) -> Any:
    return next((value[key] for key in WRAPPER_KEYS if key in value), None)


def _holds_tweets(inner: Any) -> bool:
    """Whether a wrapper's content is of X's own tweets, or would be if there were any."""
    for _ in range(MOST_WRAPPERS):
        first = inner[0] if isinstance(inner, list) and inner else inner
        if not isinstance(first, dict):
            return isinstance(first, list) and not first
        if not first.keys().isdisjoint(X_KEYS):
            return True
        inner = _wrapped(first)
    return False


def text_of(tweet: Any, key: str) -> str | None:
    """The text of a tweet, the long form where X gives one too; "" for null, None if missing."""
    if not isinstance(tweet, dict):
        return tweet if isinstance(tweet, str) else None
    if key in X_KEYS:
        longer = tweet.get("extended_tweet") or tweet.get("note_tweet")
        if isinstance(longer, dict):
            tweet = tweet | longer
        if tweet.get("full_text") is not None:
            key = "full_text"
        elif "text" in tweet:
            key = "text"
    text = tweet.get(key)
    if text is None and key in tweet:
        return ""
    return text if isinstance(text, str) else None
