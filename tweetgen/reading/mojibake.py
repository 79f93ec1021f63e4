"""Text whose bytes were once read in the wrong encoding: "donâ€™t", "don‰Ûªt", "don\x92t".

Tweets are too short to be judged one by one: "Ã©" may be meant. A file is judged as a whole, by a
sample of its tweets, and then every tweet in it is repaired the same way. What was UTF-8 shows as
a first character that stands for a UTF-8 lead byte, then one to three that stand for continuation
bytes; only such sequences are touched, and only if they decode.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from tweetgen.reading.plain import MARK

SAMPLE_TEXTS = 4096
SAMPLE_ROWS = 200  # tweets with a character beyond ASCII
SMALLEST_SHARE = 0.1  # of them show the damage, or the file counts as healthy
MOST_ROUNDS = 3  # "Ã¢â‚¬â„¢" was misread twice

HIGH_BYTES = range(0x80, 0x100)
UNDEFINED = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))  # no character in cp1252
LEADS = (range(0xC2, 0xE0), range(0xE0, 0xF0), range(0xF0, 0xF5))  # of 2, 3 and 4 bytes in UTF-8
TAIL = range(0x80, 0xC0)

# What a repair may bring to light: letters of living scripts, punctuation (also of cp1252),
# symbols, emoji. Healthy "VOILÀ…" would give a phonetic sign, "åäö" a control character.
PLAUSIBLE = re.compile(
    "[\x80\x85\x91-\x97\x99\xa0-\u017f\u0370-\u052f\u0590-\u06ff\u0900-\u0eff\u1e00-\u1fff\u2010-\u2bff\u3000-\u9fff"
    "\uac00-\ud7af\ufe0f\uff00-\uffef\ufffd\U0001f000-\U0001faff]"
)


JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
C1 = re.compile("[\x80-\x9f]")
PYTHON_REPR = re.compile(r"b'.*'|b\".*\"", re.S)  # "b'caf\\xc3\\xa9'", printed by a script
SUSPECT_BYTES = re.compile(rb"\xc2[\x80-\x9f]|\\x[0-9a-f]{2}")  # a C1 character, or an escape
SUSPECT = r"[\x{80}-\x{9f}]|^b['\"].*\\x[0-9a-f]{2}"  # the same of a text, for RE2
ESCAPED_BYTE = re.compile(r"\\x[0-9a-f]{2}")


class Family(NamedTuple):
    """One way in which the texts of a file are damaged."""

    broken: re.Pattern[str]
    mend: Callable[[re.Match[str]], str]
    sign: re.Pattern[str] = re.compile("(?s:.*)")  # which broken passages no healthy text has
    context: re.Pattern[str] | None = None  # or: what no healthy text without Japanese has


def _cp1252(byte: int) -> str:
    """The cp1252 character of a byte; of the five that have none, the Latin-1 one."""
    return bytes([byte]).decode("latin-1" if byte in UNDEFINED else "cp1252")


def _through_mac_roman(shown: Mapping[int, str]) -> dict[int, str]:
    """How bytes that showed like this show after being saved as Mac-Roman and read as cp1252.

    Bytes are missing whose character Mac-Roman does not know: "_" was saved instead.
    """
    saved = {byte: character.encode("mac-roman", "ignore") for byte, character in shown.items()}
    kept = {byte: character for byte, character in shown.items() if ord(character) in UNDEFINED}
    return {byte: _cp1252(code[0]) for byte, code in saved.items() if code} | kept


def _utf8_family(
    byte_of: Mapping[str, int],
    leads: tuple[range, ...],
    special: Mapping[str, str],
    sign: str = "(?s:.*)",
) -> Family:
    """A family where UTF-8 bytes show as characters.

    `special` says what passages mean in which a byte was lost. An emoji with lost bytes goes, and
    so does a symbol where "_" was saved for such bytes.
    """

    def showing(wanted: range) -> str:
        return "".join(re.escape(shown) for shown, byte in byte_of.items() if byte in wanted)

    tail = showing(TAIL)
    sequences = [f"[{showing(lead)}][{tail}]{{{n}}}" for n, lead in enumerate(leads, start=1)]
    if len(leads) == len(LEADS):
        emoji = f"[{showing(range(0xF0, 0xF1))}][{showing(range(0x9F, 0xA0))}]"
        sequences.append(rf"{emoji}[{tail}_\ufffd]{{0,2}}")
    sequences += [re.escape(passage) for passage in sorted(special, key=len, reverse=True)]
    if "_" in byte_of:
        sequences.append(rf"[{showing(range(0xE2, 0xE3))}][{tail}_\ufffd]{{1,2}}")

    def mend(match: re.Match[str]) -> str:
        if match[0] in special:
            return special[match[0]]
        try:
            return bytes(byte_of[character] for character in match[0]).decode("utf-8")
        except (UnicodeDecodeError, KeyError):
            lost = byte_of[match[0][0]] == 0xF0 or ("_" in byte_of and byte_of[match[0][0]] == 0xE2)
            return "" if lost else match[0]

    return Family(re.compile("|".join(sequences)), mend, re.compile(sign))


def _shifted_family(meaning: Mapping[str, str], sign: str) -> Family:
    """A family where each character stands for another, by tables of one byte."""
    broken = re.compile("[" + "".join(map(re.escape, meaning)) + "]")
    return Family(broken, lambda match: meaning[match[0]], context=re.compile(sign))


_CP1252 = {byte: _cp1252(byte) for byte in HIGH_BYTES}
_SAVED = _through_mac_roman(_CP1252)
_SAVED_THRICE = _through_mac_roman(_through_mac_roman(_SAVED))


def _bytes_of(shown: Mapping[int, str]) -> dict[str, int]:
    """Which byte a character stands for, be it read as cp1252 or as Latin-1."""
    cp1252_byte = {character: byte for byte, character in _CP1252.items()}
    as_latin1 = {chr(cp1252_byte[character]): byte for byte, character in shown.items()}
    return as_latin1 | {character: byte for byte, character in shown.items()}


# After three rounds the lead byte of quotes and dashes is a space or lost, the next byte "—".
_THRICE = {"_": "…", "“": "“", "\x9d": "”", "…": "‘", "”": "—", "¢": "•", "": "’"}
_THRICE = {start + "—" + end: meaning for start in (" ", "") for end, meaning in _THRICE.items()}

FAMILIES = {
    "UTF-8 read as cp1252": _utf8_family(  # "Ã©", "â€™", "â\x80\x99", "ðŸ˜‚"
        _bytes_of(_CP1252),
        LEADS,
        {"â€": "”", "â\x80": "”", "â?¤": "❤", "Ã ": "à ", "Â ": " "},
        sign="(?![ÃÂ] ).*",
    ),
    "UTF-8 read as Mac-Roman": _utf8_family(  # "√©", "‚Äô"; other leads than ¬√ƒ≈ begin "’é"
        {bytes([byte]).decode("mac-roman"): byte for byte in HIGH_BYTES},
        (range(0xC2, 0xC6), *LEADS[1:]),
        {},
    ),
    "UTF-8 saved as Mac-Roman": _utf8_family(  # "Ì©", "‰Ûª", "‰Û_" (¦ was lost), "_Ù÷â" (ð)
        _bytes_of(_SAVED) | {"_": 0xF0},
        (range(0xC2, 0xC4), *LEADS[1:]),  # others begin "„Ü"
        {"‰Û_": "…", "\x89Û_": "…", "‰Û\ufffd": "”", "‰\ufffd_": "❤", "\x89\x9d_": "❤"}
        | {"•ü\ufffd": "", "Ì_": "", "å_": ""},
        sign="(?![åÌ]_).*",
    ),
    "UTF-8 saved as Mac-Roman three times": _utf8_family(  # "’©", " —“", " —t"
        _bytes_of(_SAVED_THRICE),
        (range(0xC2, 0xC4),),
        _THRICE | {"’_": "", "Î_": ""},
        sign=" ?—[_\x9d]|Î¾|’©",  # French has "’é", English " —"
    ),
    "cp1252 read as Latin-1": Family(  # "can\x92t"
        C1, lambda match: _CP1252[ord(match[0])]
    ),
    "Mac-Roman read as cp1252": _shifted_family(  # "IndiaÕs", "naïve" as "na•ve"
        {_CP1252[byte]: bytes([byte]).decode("mac-roman") for byte in HIGH_BYTES},
        "(?<=[a-z])[ÕÒÓÐÑÉŽŠˆ‡](?=[a-z])|(?<![^\\W\\d_])Ò(?=[A-Za-z])|(?<=[a-z.!?])Ó(?![^\\W\\d_])",
    ),
    "cp1252 read as half-width kana": _shifted_family(  # "Donﾒt": the low byte is cp1252's
        {chr(0xFF00 + byte): _CP1252[byte] for byte in range(0x80, 0xA0)},
        "(?<=[A-Za-z])ﾒ(?=[A-Za-z])|(?<=[A-Za-z ])[ﾓﾔﾖﾅﾑ](?=[A-Za-z ])",
    ),
    "Mac-Roman read as half-width kana": _shifted_family(  # "Donﾕt": Shift-JIS's byte for ﾕ
        {
            bytes([byte]).decode("shift_jis"): bytes([byte]).decode("mac-roman")
            for byte in range(0xA1, 0xE0)
        },
        "(?<=[A-Za-z])ﾕ(?=[A-Za-z])",
    ),
}


def detect(sample: Iterable[str]) -> str:
    """The name of the family a file belongs to, by a sample of its tweets; "" if it is healthy."""
    rows = list(islice((text for text in sample if not text.isascii()), SAMPLE_ROWS))
    counts = {
        name: [_num_signs(text, family) for text in rows] for name, family in FAMILIES.items()
    }
    damaged = {name: sum(map(bool, of_rows)) for name, of_rows in counts.items()}
    likeliest = max(counts, key=lambda name: (damaged[name], sum(counts[name])))
    share = damaged[likeliest] / len(rows) if rows else 0.0
    return likeliest if share >= SMALLEST_SHARE else ""


def _num_signs(text: str, family: Family) -> int:
    """How many passages of a text the family's damage explains."""
    if family.context:
        return 0 if JAPANESE.search(text) else sum(1 for _ in family.context.finditer(text))
    matches = (match for match in family.broken.finditer(text) if family.sign.fullmatch(match[0]))
    repairs = ((match[0], family.mend(match)) for match in matches)
    return sum(new != old and (not new or bool(PLAUSIBLE.match(new))) for old, new in repairs)


def repair(text: str, family: str) -> str:
    """The text as it was before the damage that the named family did; lost characters are left out.

    repair("donâ€™t", "UTF-8 read as cp1252") -> "don’t". The family "" leaves a text as it is.
    """
    if not family or text.isascii():
        return text
    broken, mend, _sign, context = FAMILIES[family]
    for _ in range(1 if context else MOST_ROUNDS):
        before = text
        text = broken.sub(mend, text)
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
        changed = np.zeros(len(column), dtype=bool)
        content = column.buffers()[2]
        content = memoryview(content) if content else b""
        if not (self.family or self.are_reprs or self.are_marked or SUSPECT_BYTES.search(content)):
            return column, changed
        if self.are_marked:
            suspect = pa.compute.is_valid(column)
        elif self.family or self.are_reprs:
            suspect = pa.compute.invert(pa.compute.string_is_ascii(column))
            suspect = pa.compute.or_(suspect, pa.compute.starts_with(column, "b"))
        else:
            suspect = pa.compute.match_substring_regex(column, SUSPECT)
        places = np.flatnonzero(suspect.to_numpy(zero_copy_only=False))
        old = column.take(pa.array(places)).to_pylist()
        new = [self.mended(text) for text in old]
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
        return text if text.isascii() else C1.sub(lambda match: _CP1252[ord(match[0])], text)


def mending(sample: list[str]) -> Mending:
    """What has to be mended in a file with these first texts."""
    num_reprs = sum(PYTHON_REPR.fullmatch(text) is not None for text in sample)
    num_marked = sum(MARK.match(text) is not None for text in sample)
    half = len(sample) / 2
    return Mending(detect(sample), num_reprs > half, num_marked > half)


def from_repr(text: str) -> str:
    r"""`b'caf\xc3\xa9'` -> `café`; anything else as it is."""
    if not PYTHON_REPR.fullmatch(text):
        return text
    try:
        characters = text[2:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
        return characters.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
