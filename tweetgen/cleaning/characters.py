"""Single characters: what cannot be seen, white space, words.

Each function returns the text unchanged (the same object, mostly) where there is nothing to do.
"""

import functools
import re
import unicodedata
from collections.abc import Callable

from tweetgen.text.entities import EMOJI_START, MARKS
from tweetgen.text.words import SPACELESS_LETTER

SURROGATE = re.compile("[\ud800-\udfff]")
# Control characters but white space, zero-width and bidi controls, invisible operators, soft
# hyphens, replacement and private-use characters. ZWJ and ZWNJ, which spell words, stay.
_INVISIBLE = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u202a-\u202e\u2060-\u2064\u2066-\u2069"
    "\ufeff\ufff9-\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff"
)
INVISIBLE = re.compile(f"[{_INVISIBLE}]")
ASCII_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
LOST_APOSTROPHE = re.compile(r"(?<=[A-Za-z])\ufffd(?=(?:s|t|re|ll|ve|m|d)\b)")  # what\ufffds
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters that look like a space
BLANK = re.compile(f"[{_BLANK}]")
UNWANTED = re.compile(f"[{_INVISIBLE}{_BLANK}\ud800-\udfff]")
# U+FE0F asks for an emoji: "❤️"; it is dropped unless an emoji precedes it: "i️".
STRAY_SELECTOR = re.compile(rf"(?<![{EMOJI_START}\U0001f3fb-\U0001f3ff])\ufe0f(?!\u20e3)")
FULLWIDTH_AT = re.compile(r"＠(?=[A-Za-z0-9_])")  # "＠name"

LINE_BREAK = re.compile(r"\r\n?|[\v\f\x85\u2028\u2029]")
SPACES = re.compile(r"[^\S\n\u3000]+")  # ideographic spaces stay: 「はい　いいえ」
SPACES_AT_BREAK = re.compile(r"(?:(?<! ) ++)?+\n[ \u3000]*+")
EMPTY_LINES = re.compile(r"\n{3,}")
SPACES_AT_IDEOGRAPHIC = re.compile(r"(?:(?<! ) ++)?+\u3000[ \u3000]*+")
WORD = re.compile(r"[^\W_]\S*")


def readable(text: str) -> str:
    """The text in NFC, without characters that show nothing or that no screen can show."""
    if text.isascii():
        return text if text.isprintable() else ASCII_CONTROL.sub("", text)
    if UNWANTED.search(text):
        if SURROGATE.search(text):  # halves of a pair are joined, lone ones dropped
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
        text = INVISIBLE.sub("", LOST_APOSTROPHE.sub("’", text))
        text = BLANK.sub(" ", text)
    if "\ufe0f" in text:
        text = STRAY_SELECTOR.sub("", text)
    if "＠" in text:
        text = FULLWIDTH_AT.sub("@", text)
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return text


def single_spaces(text: str) -> str:
    """The text in one line, with single spaces and none at its ends."""
    if "\u3000" not in text:
        return " ".join(text.split())
    text = SPACES.sub(" ", LINE_BREAK.sub(" ", text).replace("\n", " "))
    return SPACES_AT_IDEOGRAPHIC.sub("\u3000", text).strip()


def spaces_in_lines(text: str) -> str:
    r"""The text with single spaces and its line breaks, as \n, at most two in a row."""
    text = SPACES.sub(" ", LINE_BREAK.sub("\n", text))
    text = SPACES_AT_IDEOGRAPHIC.sub("\u3000", SPACES_AT_BREAK.sub("\n", text))
    return EMPTY_LINES.sub("\n\n", text).strip()


def word_test(number: int) -> Callable[[str], bool]:
    """Whether a text has that many words, each with a letter or digit.

    Where a script has no spaces between words, two letters count as one: "日本語だ" has two.
    """
    # Most texts pass a cheap test; one word after the other is twice as fast as a repeat.
    english_words = re.compile("[^ ]*+".join(["[^A-Za-z0-9]*+[A-Za-z0-9]"] * number))

    def has_words(text: str) -> bool:
        if english_words.match(text) or len(WORD.findall(text)) >= number:
            return True
        others, num_letters = SPACELESS_LETTER.subn(" ", text)
        return len(WORD.findall(others)) + num_letters // 2 >= number

    return has_words


def basic(text: str) -> str:
    """The text with only letters, digits, spaces, common punctuation, # and emoji."""
    return _not_basic().sub(" ", text)


@functools.cache
def _not_basic() -> re.Pattern[str]:
    from emoji import EMOJI_DATA

    emoji = "".join(set("".join(EMOJI_DATA)) - set("0123456789#*"))
    return re.compile(
        rf"[^\w\s{MARKS}.,!?;:'\"()/&%$€£@#’‘“”…–—。、！？・「」\u200c\u200d{emoji}-]+"
    )
