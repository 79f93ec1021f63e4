r"""Repairs of single characters: escapes, HTML entities, what cannot be seen, white space.

Each function returns the text unchanged (the same object, mostly) where there is nothing to do.
"""

import functools
import html
import re
import unicodedata
from html.entities import html5

from tweetgen.text.entities import EMOJI_START, MARKS

MOST_PASSES = 8  # of unescaping; real tweets were escaped up to three times

BYTES_LITERAL = re.compile(r"b(['\"])((?:[^\\'\"]|\\.|(?!\1)['\"])*+)\1")  # b'caf\xc3\xa9'
UNICODE_ESCAPE = re.compile(r"\\u[0-9A-Fa-f]{4}|\\U000[0-9A-Fa-f]{5}")  # can\u2019t
NEWLINE_ESCAPE = re.compile(r"(?<!\\)(?<!\b[A-Za-z]:)\\++(?:r\\++)?n")  # one\ntwo; not C:\new
OFFICE_ESCAPE = re.compile(r"_x([0-9A-F]{4})_")  # "_x000D_": a spreadsheet's line break

NESTED_AMPERSAND = re.compile(r"&(?:amp;|AMP;|#0*38;|#[xX]0*26;)+")  # &amp;amp;lt; -> &lt;
ENTITY = re.compile(
    r"&(?:#[0-9]{1,7};|#[xX][0-9A-Fa-f]{1,6};|#[0-9]{2,5}(?![0-9])|[A-Za-z][A-Za-z0-9]{1,31};"
    r"|(?:amp|lt|gt|quot|nbsp|apos)(?![A-Za-z0-9=]))"  # "a &lt b", not "x?a=1&lt=2"
)

# Quotes, dashes, dots, euro and trade mark of cp1252 that were read as Latin-1: can\x92t
_C1_PUNCTUATION = "\x80\x85\x91-\x97\x99"
C1_PUNCTUATION = re.compile(f"[{_C1_PUNCTUATION}]")
C1_MEANING = {chr(code): bytes([code]).decode("cp1252") for code in (*range(0x91, 0x98), 0x99)}
C1_MEANING |= {"\x80": "€", "\x85": "…"}
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
BLANK = re.compile("[\u115f\u1160\u2800\u3164\uffa0]")  # letters that look like a space
UNWANTED = re.compile(f"[{_C1_PUNCTUATION}{_INVISIBLE}\ud800-\udfff\u115f\u1160\u2800\u3164\uffa0]")
# U+FE0F asks for an emoji: "❤️"; after a letter or a space there is none to ask for: "i️".
STRAY_SELECTOR = re.compile(rf"(?<![{EMOJI_START}\U0001f3fb-\U0001f3ff])\ufe0f(?!\u20e3)")

LINE_BREAK = re.compile(r"\r\n?|[\v\f\x85\u2028\u2029]")
SPACES = re.compile(r"[^\S\n\u3000]+")  # ideographic spaces stay: 「はい　いいえ」
SPACES_AT_BREAK = re.compile(r"(?:(?<! ) ++)?+\n[ \u3000]*+")
EMPTY_LINES = re.compile(r"\n{3,}")
SPACES_AT_IDEOGRAPHIC = re.compile(r"(?:(?<! ) ++)?+\u3000[ \u3000]*+")

# Thai, Lao, Tibetan, Burmese, Khmer, kana and Han are written without spaces between words.
SPACELESS_LETTER = re.compile(
    "[\u0e01-\u0e30\u0e81-\u0eb0\u0f40-\u0f6c\u1000-\u102a\u1780-\u17b3\u3005-\u3007\u3041-\u30ff"
    "\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
WORD = re.compile(r"[^\W_]\S*")


def decode_escapes(text: str) -> str:
    r"""The text that a program's notation stands for: b'caf\xc3\xa9' -> café, \u2019 -> ’."""
    while text[:1] == '"' == text[-1:] and '""' in text[1:-1]:  # a CSV field: "so ""good"""
        inner = text[1:-1].replace('""', "")
        if '"' in inner:
            break
        text = text[1:-1].replace('""', '"')
    if text[:2] in ("b'", 'b"') and text.isascii():
        literal = BYTES_LITERAL.fullmatch(text)
        if literal:
            raw = literal[2].encode("ascii").decode("unicode_escape", "replace")
            return raw.encode("latin-1", "replace").decode("utf-8", "replace")
    if "\\" in text:
        text = UNICODE_ESCAPE.sub(lambda match: match[0].encode().decode("unicode_escape"), text)
        text = NEWLINE_ESCAPE.sub("\n", text)
    return OFFICE_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def unescape(text: str) -> str:
    """The text with HTML entities replaced, however often it was escaped: &amp;lt;3 -> <3."""
    for _ in range(MOST_PASSES):
        before = text
        text = ENTITY.sub(_entity, NESTED_AMPERSAND.sub("&", text))
        if text == before:
            break
    return text


def _entity(match: re.Match[str]) -> str:
    name = match[0][1:].rstrip(";")
    return html.unescape(f"&{name};") if name[0] == "#" else html5.get(f"{name};", match[0])


def visible(text: str) -> str:
    """The text without characters that show nothing or that no screen can show."""
    if text.isascii():
        return ASCII_CONTROL.sub("", text)
    if not UNWANTED.search(text):
        return text
    if SURROGATE.search(text):  # halves of a pair are joined, lone ones dropped
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    text = C1_PUNCTUATION.sub(lambda match: C1_MEANING[match[0]], text)
    text = INVISIBLE.sub("", LOST_APOSTROPHE.sub("’", text))
    return BLANK.sub(" ", text)


def composed(text: str) -> str:
    """The text in NFC, with U+FE0F only after what can be an emoji."""
    if "\ufe0f" in text:
        text = STRAY_SELECTOR.sub("", text)
    if unicodedata.is_normalized("NFC", text):
        return text
    return unicodedata.normalize("NFC", text)


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


def has_words(text: str, number: int) -> bool:
    """Whether there are that many words, each with a letter or digit.

    Where a script has no spaces between words, two letters count as one: "日本語だ" has two.
    """
    if number == 0 or _english_words(number).match(text):
        return True
    words = WORD.findall(text)
    if len(words) >= number or text.isascii():
        return len(words) >= number
    letters = len(SPACELESS_LETTER.findall(text))
    return len(WORD.findall(SPACELESS_LETTER.sub(" ", text))) + letters // 2 >= number


@functools.cache
def _english_words(number: int) -> re.Pattern[str]:
    """A cheap test that most texts pass; one word after the other is twice as fast as a repeat."""
    word = "[^A-Za-z0-9]*+[A-Za-z0-9]"
    return re.compile("[^ ]*+".join([word] * number))


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
