"""E-mail addresses and telephone numbers."""

import re

from tweetgen.cleaning.punctuation import NAME_MARK

# "me@mail.example.com"; not "@name", "a@b"
EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+@-])(?:mailto:)?[A-Za-z0-9_%+-][A-Za-z0-9._%+-]*+"
    r"@(?:[A-Za-z0-9-]++\.)++[A-Za-z]{2,}+(?![@\w])"
)
AT_DOMAIN = re.compile(r"@(?<=[\w.%+-]@)[A-Za-z0-9-]+\.[A-Za-z]")  # eight times as fast to search
# A row of digits and separators; most texts with digits have none.
CANDIDATE = re.compile(r"[+(0-9][0-9 .()\-\u2010-\u2013\xa0]{5,24}[0-9]")
_GAP = r"[ .\-\u2010-\u2013\xa0]"
# Numbers are told from prices, years, scores, ids and dates by a form that only telephones have.
_FORMS = (
    # "+44 20 7946 0958", "+44 (0)20 79460958"
    rf"\+\d{{1,3}}{_GAP}?(?:\(0?\d{{1,5}}\){_GAP}?)?\d{{1,5}}(?:{_GAP}?\d{{2,5}}){{1,5}}",
    rf"(?:\+?1{_GAP})?\(\d{{3}}\){_GAP}?\d{{3}}{_GAP}?\d{{4}}",  # (555) 123-4567
    rf"(?:\+?1{_GAP}?)?[2-9]\d{{2}}(?P<gap>{_GAP})\d{{3}}(?P=gap)\d{{4}}",  # 555-123-4567
    rf"1?[38]00{_GAP}\d{{3}}{_GAP}\d{{3,4}}",  # 1800 123 456
    # 020 7946 0958
    rf"(?:0[1-9]\d{{1,3}}|\(0[1-9]\d{{1,3}}\)){_GAP}\d{{3,4}}{_GAP}?\d{{3,4}}",
    # "call 9876543210": digits without a form need a word before them
    rf"(?P<plain>\d{{3,6}}{_GAP}?\d{{2,4}}{_GAP}?\d{{3,6}})",
)
NUMBER = re.compile(rf"(?<![\w$€£¥#@/=+.,-])(?<!\d:)(?:{'|'.join(_FORMS)})(?![\w%€£]|[.,:/-]\d)")
BEFORE_PLAIN = re.compile(
    r"\b(?:call|contact|dial|phone|tel|text|txt|whats ?app|sms|mobile|hotline|helpline|ph|cell)\b"
    r"[^\d#]{0,20}\Z",
    re.IGNORECASE,
)
LONGEST_BEFORE = 32
FEWEST_DIGITS = 4  # "+1 2 34"


def mark_addresses(text: str) -> str:
    """The text with a mark for each e-mail address."""
    return EMAIL.sub(NAME_MARK, text)


def mark_telephones(text: str) -> str:
    """The text with a mark for each telephone number."""
    return NUMBER.sub(_mark_if_phone, text) if CANDIDATE.search(text) else text


def _mark_if_phone(match: re.Match[str]) -> str:
    before = match.string[max(match.start() - LONGEST_BEFORE, 0) : match.start()]
    return match[0] if match["plain"] and not BEFORE_PLAIN.search(before) else NAME_MARK
