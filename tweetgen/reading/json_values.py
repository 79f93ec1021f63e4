"""The values of JSON as people have it: lines, arrays, scripts, Python's and Mongo's notation."""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from typing import Any, NamedTuple

from tweetgen.errors import TweetgenError
from tweetgen.reading.encoding import FILLING

DECODER = json.JSONDecoder(strict=False)  # raw control characters in strings are common, harmless
BATCH_VALUES = 4096
LOOK_AHEAD = 512  # characters that hold any opening of a value

JSON_ARRAY = re.compile(r"\s*\[\s*[\[{\"\]]")
JSON_OBJECT = re.compile(r"\s*\{\s*[\"}]")
# The variables of X's archives, and those of them that hold a person's own tweets
OWN_TWEETS = re.compile(
    r"(?:tweets?|tweets_\d{4}_\d\d|community_tweets?|note_tweets?)(?:\.part\d+)?"
)
ARCHIVE_VARIABLE = re.compile(r"(?:window\.YTD|Grailbird\.data)\.([\w.]*)")
BETWEEN = re.compile(rf"[\s,;\ufeff{FILLING}]*+")
COMMENT = re.compile(r"\s*+(?://[^\n]*+\n|/\*(?s:.*?)\*/|(['\"])use strict\1;?)")
# "window.YTD.tweets.part0 = ", "module.exports = ", "export default ", "const a: Tweet[] = ", "f("
ASSIGNMENT = re.compile(
    r"\s*+(?:export\s++default\s++|"
    r"((?:export\s++)?(?:(?:var|let|const)\s++)?[A-Za-z_$][\w.$]{0,99}+"
    r"(?:\[[\w'\"]{1,40}\])*+(?:\s*:\s*[\w<>\[\]]{1,40}+)?)\s*+[=(]\s*+)(?=[\[{])"
)
# {"data": [{ ... }]}: the array is read tweet by tweet, however long it is
WRAPPER = re.compile(r'\{\s*"(?:data|statuses|tweets|results)"\s*:\s*\[\s*(?=\{)')
MONGO = re.compile(
    r'\b(?:ObjectId|NumberLong|NumberInt|NumberDecimal|ISODate|Timestamp)\(\s*("[^"]*"|\d+)?[^)]*\)'
)
PYTHON_START = re.compile(r"\s*[\[(]?\s*\{\s*'")
# "Status(_api=..., text='...')", "<Tweet id=1 text='...'>", "Tweet(url='...', content='...')"
OBJECT_REPR = re.compile(r"[\[(,\s]*(?:<[A-Z]\w+ |[A-Z]\w+\()\w+=")
NEXT_REPR = re.compile(r"(?<=[>)]), (?=<?[A-Z]\w+[ (])")
REPR_NAMES = ("full_text", "rawContent", "text", "content", "body")  # the surest first
REPR_TEXT = re.compile(rf"\b({'|'.join(REPR_NAMES)})=('(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\")")
REPR_DATE = re.compile(r"\b(?:created_at|date)=datetime\.datetime\((\d+), (\d+), (\d+)")
MAX_VALUE = 256 * 2**20  # characters: some exports are one object, read whole
MAX_LITERAL = 2**22  # characters of one value in Python's notation


class Broken(NamedTuple):
    """What is in the place of a value that cannot be read."""

    reason: str
    is_cut: bool  # the text ends in it


def decoded(text: str) -> Any:
    """The value that a whole text is in JSON; `Broken` if it is none."""
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        return Broken(error.msg, True)
    except (ValueError, RecursionError) as error:
        too_long = isinstance(error, ValueError)
        return Broken("a number too long" if too_long else "nested too deep", False)


def format_of(text: str, is_complete: bool) -> str:
    """The format of a text by how it begins: archive, json or jsonl; "" if it is none."""
    while comment := COMMENT.match(text):
        text = text[comment.end() :].lstrip()
    if assigned := ASSIGNMENT.match(text):
        return "archive" if ARCHIVE_VARIABLE.match(assigned[1] or "") else "json"
    lines = [line for line in text.split("\n") if line.strip()]
    if OBJECT_REPR.match(text) or PYTHON_START.match(lines[0] if lines else ""):
        return "jsonl"
    if JSON_ARRAY.match(text):
        is_line = not any(isinstance(parse_value(line), Broken) for line in lines[:2])
        return "jsonl" if is_line and len(lines) > 1 else "json"
    if JSON_OBJECT.match(text):
        first = not isinstance(parse_value(lines[0].removesuffix(",").rstrip("\r,")), Broken)
        second = JSON_OBJECT.match("".join(lines[1:2])) and lines[0].strip() != "{"
        return "jsonl" if len(lines) > 1 and (first or second) else "json"
    # strings of JSON, as jq writes them, some with an escaped character
    lines = [line.strip(" \r\t,") for line in (lines if is_complete else lines[:-1])[:100]]
    are_quoted = all(line[:1] == '"' == line[-1:] for line in lines[:2])
    are_strings = are_quoted and all(isinstance(decoded(line), str) for line in lines)
    return "jsonl" if are_strings and "\\" in "".join(lines) else ""


def lines_of_json(blocks: Iterable[str]) -> Iterator[tuple[Sequence[int], list[Any]]]:
    """The values of blocks of lines, one a line, and the lines they are on; `Broken` for some."""
    first = 1
    for block, following in pairwise(chain(blocks, [""])):
        yield _parsed_lines(block, first, not following)
        first += block.count("\n")


def _parsed_lines(text: str, first: int, is_last: bool) -> tuple[Sequence[int], list[Any]]:
    body = text.rstrip(FILLING + "\n")
    num_lines = body.count("\n") + 1
    # all lines in one call: 2.5 times as fast as one by one
    values = decoded("[" + body.replace("\n", ",") + "]")
    if type(values) is list and len(values) == num_lines and str not in set(map(type, values)):
        return range(first, first + num_lines), values
    may_be_cut = first + num_lines - 1 if is_last and not text.endswith("\n") else 0
    found: dict[int, Any] = {}
    for number, line in enumerate(body.split("\n"), first):
        if line.strip(FILLING + " \r\t,\ufeff"):
            found[number] = value = parse_value(line)
            if isinstance(value, Broken) and number != may_be_cut:
                found[number] = value._replace(is_cut=False)
    return list(found), list(found.values())


def parse_value(line: str) -> Any:
    """The value that one line holds, in JSON or a notation like it, or `Broken`."""
    line = line.strip(FILLING + " \r\t\ufeff").removesuffix(",")
    value = decoded(line)
    if isinstance(value, Broken) and value.reason != "nested too deep":
        other = _other_notation(line)
        value = value if other is None else other
    return opened_string(value)


def opened_string(value: Any) -> Any:
    """The value inside a string of JSON: "{\\"text\\": ...}" -> {"text": ...}."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        inner = decoded(value.strip())
        return value if isinstance(inner, Broken) else inner
    return value


def _other_notation(line: str) -> Any:
    """A value in Python's or Mongo's notation; None if it is neither."""
    if OBJECT_REPR.match(line):
        tweets = [_from_repr(part) for part in NEXT_REPR.split(line)]
        return tweets if all(tweets) else None
    if PYTHON_START.match(line) and len(line) <= MAX_LITERAL:
        try:
            return ast.literal_eval(line.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    value = decoded(MONGO.sub(lambda match: match[1] or "null", line))
    return None if isinstance(value, Broken) else value


def _from_repr(line: str) -> Any:
    """What tweepy's or snscrape's objects show of themselves: their text and day."""
    texts = {match[1]: match[2] for match in reversed(list(REPR_TEXT.finditer(line)))}
    name = next((name for name in REPR_NAMES if name in texts), "")
    try:
        tweet = {name: ast.literal_eval(texts[name])}
    except (KeyError, ValueError, SyntaxError):
        return None
    day = REPR_DATE.search(line)
    return tweet | ({"created_at": f"{day[1]}-{day[2]}-{day[3]}"} if day else {})


class JsonStream:
    """The values of a text of JSON, singly those in an array at its top or in {"data": [...]}."""

    def __init__(self, texts: Iterable[str], name: str) -> None:
        self._texts = iter(texts)
        self._name = name
        self._buffer = ""
        self._position = 0
        self._line = 1  # of the position
        self._is_script = False

    def __iter__(self) -> Iterator[list[tuple[int, Any]]]:
        values = self._values()
        while batch := list(islice(values, BATCH_VALUES)):
            yield batch

    def _values(self) -> Iterator[tuple[int, Any]]:
        while self._skip() not in ("", "[", "{", '"'):
            yield self._line, Broken("no object or array", False)
            end = self._buffer.find("\n", self._position)
            self._go_to(end if end >= 0 else len(self._buffer))
        closers: list[str] = []  # what ends the array or wrapper we are in
        while start := self._skip():
            if closers and start == closers[-1]:
                closers.pop()
                self._position += 1
            elif closers == ["}"]:  # after the array of a wrapper: "meta": {...}
                if not isinstance(self._value(), Broken) and self._skip() == ":":
                    self._position += 1
                    self._skip()
                    self._value()
            elif not closers and (match := WRAPPER.match(self._buffer, self._position)):
                closers = ["}", "]"]
                self._go_to(match.end())
            elif not closers and start == "[":
                closers = ["]"]
                self._position += 1
            elif self._is_script and not closers and start != "{":
                return  # "];\nmodule.exports = tweets;"
            else:
                line, value = self._line, self._value()
                yield line, value
                if isinstance(value, Broken):
                    return

    def _go_to(self, position: int) -> None:
        self._line += self._buffer.count("\n", self._position, position)
        self._position = position

    def _skip(self) -> str:
        """Go to the next value or bracket; its first character, "" at the end."""
        while True:
            match = BETWEEN.match(self._buffer, self._position)
            assert match is not None  # it matches the empty string too
            self._go_to(match.end())
            if len(self._buffer) - self._position < LOOK_AHEAD and self._fill():
                continue
            if comment := COMMENT.match(self._buffer, self._position):
                self._go_to(comment.end())
                continue
            if match := ASSIGNMENT.match(self._buffer, self._position):
                variable = ARCHIVE_VARIABLE.fullmatch(match[1] or "")
                if variable and not self._is_script and not OWN_TWEETS.fullmatch(variable[1]):
                    raise TweetgenError(
                        f"{self._name} holds {variable[1]}, not tweets. Give tweets.js instead."
                    )
                self._is_script = True
                self._go_to(match.end())
            return self._buffer[self._position : self._position + 1]

    def _fill(self, num_characters: int = 1) -> bool:
        """Take in so much more text; False at the end."""
        pieces = [self._buffer[self._position :]]
        num_wanted = len(pieces[0]) + num_characters
        while sum(map(len, pieces)) < num_wanted and (text := next(self._texts, "")):
            pieces.append(text)
        self._buffer, self._position = "".join(pieces), 0
        return len(pieces) > 1

    def _value(self) -> Any:
        """The value at the position, taking in as much text as it needs; `Broken` if it is cut."""
        while True:
            num_characters = len(self._buffer) - self._position
            try:
                value, end = DECODER.raw_decode(self._buffer, self._position)
            except (ValueError, RecursionError) as error:
                # twice as much each time, for a value is read anew from its start
                if self._goes_on(error) and self._fill(num_characters):
                    continue
                return self._cut_or_refused(error)
            if end == len(self._buffer) and self._fill():  # 12 may go on as 123
                continue
            self._go_to(end)
            return opened_string(value)

    def _goes_on(self, error: Exception) -> bool:
        """Whether more text may mend an error; TweetgenError if the value is too long already."""
        if not isinstance(error, json.JSONDecodeError):
            return False
        at_end = len(self._buffer) - error.pos < LOOK_AHEAD
        if not at_end and not error.msg.startswith("Unterminated string"):
            return False
        if len(self._buffer) - self._position > MAX_VALUE:
            raise TweetgenError(
                f"line {self._line:,} of {self._name} begins a value of JSON of more than "
                f"{MAX_VALUE / 2**20:,.0f} MiB. Save its tweets as JSON lines and give that."
            )
        return True

    def _cut_or_refused(self, error: Exception) -> Any:
        """`Broken` for a value in which the text ends; TweetgenError for any other."""
        line, reason = self._line, "nested or numbered too deep"
        if isinstance(error, json.JSONDecodeError):
            rest, reason = self._buffer[error.pos :].strip(), error.msg
            if not rest or (reason.startswith("Unterminated string") and "\n" not in rest):
                self._position = len(self._buffer)
                return Broken("cut", True)
            line += self._buffer.count("\n", self._position, error.pos)
        advice = "Correct or delete it."
        if MONGO.search(self._buffer, self._position, self._position + LOOK_AHEAD):
            advice = "It is a listing of the mongo shell: use mongoexport instead."
        raise TweetgenError(f"line {line:,} of {self._name} is not valid JSON ({reason}). {advice}")
