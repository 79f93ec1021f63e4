"""Text whose bytes were once read in the wrong encoding: "donâ€™t", "don‰Ûªt", "don\x92t".

Tweets are too short to be judged one by one: a file is judged by a sample, then all are repaired.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from tweetgen.reading.encoding import CP1252
from tweetgen.reading.plain import MARK

SAMPLE_TEXTS = 4096
SAMPLE_ROWS = 200  # tweets with a character beyond ASCII
SMALLEST_SHARE = 0.1  # of them show the damage, or the file counts as healthy
MOST_ROUNDS = 3  # "Ã¢â‚¬â„¢" was misread twice

UNDEFINED = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))  # no character in cp1252
LEADS = (range(0xC2, 0xE0), range(0xE0, 0xF0), range(0xF0, 0xF5))  # of 2, 3 and 4 bytes in UTF-8
TAIL = range(0x80, 0xC0)

# What a repair may bring to light: letters of living scripts, punctuation (also of cp1252),
# symbols, emoji. Healthy "VOILÀ…" would give a phonetic sign, "åäö" a control character.
PLAUSIBLE = re.compile(
    "[\x80\x85\x91-\x97\x99\xa0-\u017f\u0370-\u052f\u0590-\u06ff\u0900-\u0eff\u1e00-\u1fff\u2010-\u2bff\u3000-\u9fff"
    "\uac00-\ud7af\ufe0f\uff00-\uffef\ufffd\U0001f000-\U0001faff]"
)
UNSURE = frozenset(("Ã ", "Â ", "å_", "Ì_"))  # broken, but healthy text may hold them as well
CJK_LETTER = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
PYTHON_REPR = re.compile(r"b'.*'|b\".*\"", re.S)  # "b'caf\\xc3\\xa9'", printed by a script
ESCAPED_BYTE = re.compile(r"\\x[0-9a-f]{2}")
C1 = re.compile("[\x80-\x9f]")
DAMAGED = r"[\x{80}-\x{9f}]|^b['\"].*\\x[0-9a-f]{2}"  # texts of any file to look at, for RE2


@dataclass(frozen=True)
class Family:
    """One way in which the texts of a file are damaged."""

    byte_of: Mapping[str, int]  # which byte of UTF-8 each character stands for
    meaning: Mapping[str, str]  # what other passages mean, as where a byte was lost
    leads: tuple[range, ...] = ()  # bytes that begin a character of UTF-8
    sign: re.Pattern[str] | None = None  # what no healthy text has; None: what can be mended

    @functools.cached_property
    def broken(self) -> re.Pattern[str]:
        """What of a text shows the damage; "_" may stand for a lost byte of an emoji or symbol."""
        tail = self._showing(TAIL)
        found = [
            f"[{self._showing(lead)}][{tail}]{{{number}}}"
            for number, lead in enumerate(self.leads, start=1)
        ]
        if len(self.leads) == len(LEADS):
            emoji = f"[{self._showing([0xF0])}][{self._showing([0x9F])}]"
            found.append(rf"{emoji}[{tail}_\ufffd]{{0,2}}")
        found += map(re.escape, sorted(self.meaning, key=len, reverse=True))
        if "_" in self.byte_of:
            found.append(rf"[{self._showing([0xE2])}][{tail}_\ufffd]{{1,2}}")
        return re.compile("|".join(found))

    def _showing(self, wanted: Iterable[int]) -> str:
        return "".join(re.escape(shown) for shown, byte in self.byte_of.items() if byte in wanted)

    def mend(self, passage: re.Match[str]) -> str:
        """What a passage means; "" for an emoji or symbol that has lost bytes."""
        if passage[0] in self.meaning:
            return self.meaning[passage[0]]
        try:
            return bytes(self.byte_of[character] for character in passage[0]).decode("utf-8")
        except (UnicodeDecodeError, KeyError):
            lead = self.byte_of[passage[0][0]]
            is_lost = lead == 0xF0 or ("_" in self.byte_of and lead == 0xE2)
            return "" if is_lost else passage[0]

    def num_signs(self, text: str) -> int:
        """How many passages of a text only this damage explains; -1 if it is Japanese."""
        if self.sign:
            rest, number = self.sign.subn("", text)
            return -1 if CJK_LETTER.search(rest) else number
        passages = [p for p in self.broken.finditer(text) if p[0] not in UNSURE]
        mended = [(passage[0], self.mend(passage)) for passage in passages]
        return sum(new != old and (not new or bool(PLAUSIBLE.match(new))) for old, new in mended)


def _through_mac_roman(shown: Mapping[int, str]) -> dict[int, str]:
    """How bytes that showed like this show after being saved as Mac-Roman and read as cp1252."""
    saved = {byte: character.encode("mac-roman", "ignore") for byte, character in shown.items()}
    kept = {byte: character for byte, character in shown.items() if ord(character) in UNDEFINED}
    return {byte: CP1252[code[0]] for byte, code in saved.items() if code} | kept


def _bytes_of(shown: Mapping[int, str]) -> dict[str, int]:
    """Which byte a character stands for, be it read as cp1252 or as Latin-1."""
    as_latin1 = {chr(CP1252.index(character)): byte for byte, character in shown.items()}
    return as_latin1 | {character: byte for byte, character in shown.items()}


_SHOWN = dict(enumerate(CP1252[0x80:], 0x80))
_SAVED = _through_mac_roman(_SHOWN)
_SAVED_THRICE = _through_mac_roman(_through_mac_roman(_SAVED))
_MAC_ROMAN = {byte: bytes([byte]).decode("mac-roman") for byte in _SHOWN}

_KANA = {bytes([byte]).decode("shift_jis"): byte for byte in range(0xA1, 0xE0)}
# Shift-JIS makes one sign of a quote or accented letter and the letter after it
_KANJI = {
    kanji: CP1252[first] + chr(letter)
    for first, letter in product(_SHOWN, [*range(0x41, 0x5B), *range(0x61, 0x7B)])
    if CJK_LETTER.fullmatch(kanji := bytes((first, letter)).decode("cp932", "ignore"))
}
_AS_KANJI = {
    mark: "[" + "".join(kanji for kanji, pair in _KANJI.items() if pair[0] == mark) + "]"
    for mark in "’“"
}

# After three rounds the lead byte of quotes and dashes is a space or lost, the next byte "—".
_THRICE = {"_": "…", "“": "“", "\x9d": "”", "…": "‘", "”": "—", "¢": "•", "": "’"}
_THRICE = {start + "—" + end: meaning for start in (" ", "") for end, meaning in _THRICE.items()}

FAMILIES = {
    "UTF-8 read as cp1252": Family(  # "Ã©", "â€™", "â\x80\x99", "ðŸ˜‚"
        _bytes_of(_SHOWN), {"â€": "”", "â\x80": "”", "â?¤": "❤", "Ã ": "à ", "Â ": " "}, LEADS
    ),
    "UTF-8 read as Mac-Roman": Family(  # "√©", "‚Äô"; other leads than ¬√ƒ≈ begin "’é"
        {character: byte for byte, character in _MAC_ROMAN.items()},
        {},
        (range(0xC2, 0xC6), *LEADS[1:]),
    ),
    "UTF-8 saved as Mac-Roman": Family(  # "Ì©", "‰Ûª", "‰Û_" (¦ was lost), "_Ù÷â" (ð)
        _bytes_of(_SAVED) | {"_": 0xF0},
        {"‰Û_": "…", "\x89Û_": "…", "‰Û\ufffd": "”", "‰\ufffd_": "❤", "\x89\x9d_": "❤"}
        | {"•ü\ufffd": "", "Ì_": "", "å_": ""},
        (range(0xC2, 0xC4), *LEADS[1:]),  # others begin "„Ü"
    ),
    "UTF-8 saved as Mac-Roman three times": Family(  # "’©", " —“", " —t"
        _bytes_of(_SAVED_THRICE),
        _THRICE | {"’_": "", "Î_": ""},
        (range(0xC2, 0xC4),),
        re.compile(" ?—[_\x9d]|Î¾|’©"),  # French has "’é", English " —"
    ),
    "cp1252 read as Latin-1": Family(  # "can\x92t"
        {},
        {chr(byte): character for byte, character in _SHOWN.items() if byte < 0xA0},
        sign=re.compile("(?<![\x80-\xff])[\x80-\x9f](?![\x80-\xff])"),  # else UTF-8's, as above
    ),
    "Mac-Roman read as cp1252": Family(  # "IndiaÕs", "naïve" as "na•ve"
        {},
        {character: _MAC_ROMAN[byte] for byte, character in _SHOWN.items()},
        sign=re.compile(
            "(?<=[a-z])[ÕÒÓÐÑÉŽŠˆ‡](?=[a-z])"
            "|(?<![^\\W\\d_])Ò(?=[A-Za-z])|(?<=[a-z.!?])Ó(?![^\\W\\d_])"
        ),
    ),
    "cp1252 read as Shift-JIS": Family(  # "It痴" of the bytes for "’s"
        {},
        {kana: CP1252[byte] for kana, byte in _KANA.items()} | _KANJI,
        sign=re.compile(rf"(?<=[A-Za-z]){_AS_KANJI['’']}|(?<!\w){_AS_KANJI['“']}(?=[a-z])"),
    ),
    "cp1252 read as half-width kana": Family(  # "Donﾒt": the low byte is cp1252's
        {},
        {chr(0xFF00 + byte): _SHOWN[byte] for byte in range(0x80, 0xA0)},
        sign=re.compile("(?<=[A-Za-z])ﾒ(?=[A-Za-z])|(?<=[A-Za-z ])[ﾓﾔﾖﾅﾑ](?=[A-Za-z ])"),
    ),
    "Mac-Roman read as half-width kana": Family(  # "Donﾕt": Shift-JIS's byte for ﾕ
        {},
        {kana: _MAC_ROMAN[byte] for kana, byte in _KANA.items()},
        sign=re.compile("(?<=[A-Za-z])ﾕ(?=[A-Za-z])"),
    ),
}


def detect(sample: Iterable[str]) -> str:
    """The name of the family a file belongs to, by a sample of its tweets; "" if it is healthy."""
    rows = list(islice((text for text in sample if not text.isascii()), SAMPLE_ROWS))
    signs = {name: [family.num_signs(text) for text in rows] for name, family in FAMILIES.items()}
    damaged = {name: int(np.sign(of_rows).sum()) for name, of_rows in signs.items()}
    likeliest = max(FAMILIES, key=lambda name: (damaged[name], sum(signs[name])))
    return likeliest if rows and damaged[likeliest] >= SMALLEST_SHARE * len(rows) else ""


def repair(text: str, family: str) -> str:
    """The text as it was before the damage of that family, without lost characters."""
    if not family or text.isascii():
        return text
    damage = FAMILIES[family]
    if damage.sign and CJK_LETTER.search(damage.broken.sub("", text)):  # Japanese among others
        return text
    for _ in range(MOST_ROUNDS if damage.leads else 1):
        before, text = text, damage.broken.sub(damage.mend, text)
        if text == before:
            break
    return text


class Mending(NamedTuple):
    """What the first texts of a file show to be wrong with all of them."""

    family: str  # of mojibake, "" if there is none
    are_reprs: bool  # texts are written b'...'
    are_marked: bool = False  # texts stand between the marks of a training file

    def apply(self, column: Any) -> tuple[Any, Any]:
        """The Arrow texts mended, and which of them changed: bool (N,)."""
        of_file = {r"[^\x00-\x7f]": self.family, "^b['\"]": self.are_reprs, "": self.are_marked}
        pattern = "|".join([DAMAGED, *(suspect for suspect, holds in of_file.items() if holds)])
        suspect = pa.compute.match_substring_regex(column, pattern)
        places = np.flatnonzero(suspect.to_numpy(zero_copy_only=False))
        old = column.take(pa.array(places)).to_pylist()
        new = [self.mended(text) for text in old]
        changed = np.zeros(len(column), dtype=bool)
        changed[places] = [a != b for a, b in zip(old, new, strict=True)]
        mended = pa.array([b for a, b in zip(old, new, strict=True) if a != b], column.type)
        return pa.compute.replace_with_mask(column, pa.array(changed), mended), changed

    def mended(self, text: str) -> str:
        """The text as it was meant."""
        if self.are_reprs or (text[:1] == "b" and ESCAPED_BYTE.search(text)):
            text = from_repr(text)
        if self.are_marked:
            text = MARK.sub("", text).strip()
        text = repair(text, self.family)
        return C1.sub(lambda match: CP1252[ord(match[0])], text)


def mending(sample: list[str]) -> Mending:
    """What has to be mended in a file with these first texts."""
    num_reprs = sum(PYTHON_REPR.fullmatch(text) is not None for text in sample)
    num_marked = sum(MARK.match(text) is not None for text in sample)
    return Mending(detect(sample), *(2 * num > len(sample) for num in (num_reprs, num_marked)))


def from_repr(text: str) -> str:
    r"""`b'caf\xc3\xa9'` -> `café`; anything else as it is."""
    if not PYTHON_REPR.fullmatch(text):
        return text
    try:
        characters = text[2:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
        return characters.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
