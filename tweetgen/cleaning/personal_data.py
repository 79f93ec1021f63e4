"""E-mail addresses and telephone numbers."""

import re

from tweetgen.text.lenient import LINK_MARK

# "me@mail.example.com"; not "@name", "a@b"
EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])(?:mailto:)?[A-Za-z0-9_%+-][A-Za-z0-9._%+-]*+"
    r"@(?:[A-Za-z0-9-]++\.)++[A-Za-z]{2,}+(?![@\w])"
)
AT_DOMAIN = re.compile(r"@(?<=[\w.%+-]@)[A-Za-z0-9-]+\.[A-Za-z]")  # eight times as fast to search
# A row of digits and separators; most texts with digits have none.
CANDIDATE = re.compile(r"[+(0-9][0-9 .()\-\u2010-\u2013\xa0]{5,24}[0-9]")
_GAP = r"[ .\-\u2010-\u2013\xa0]"
NOT_BEFORE = re.compile(r"[\w$€£¥#@/=+.,:-]\Z")
NOT_AFTER = re.compile(r"[\w%€£/]|[.,:-]\d")
# Numbers are told from prices, years, scores, ids and dates by a form that only telephones have.
PHONE = re.compile(
    rf"\+\d{{1,3}}{_GAP}?(?:\(0?\d{{1,5}}\){_GAP}?)?\d{{1,5}}(?:{_GAP}?\d{{2,5}}){{1,5}}"  # +44 20 7946 0958
    rf"|(?:\+?1{_GAP})?\(\d{{3}}\){_GAP}?\d{{3}}{_GAP}?\d{{4}}"  # (555) 123-4567
    rf"|(?:\+?1{_GAP})?[2-9]\d{{2}}({_GAP})\d{{3}}\1\d{{4}}"  # 555-123-4567
    rf"|\(?0\d{{2,4}}\)?{_GAP}\d{{3,4}}{_GAP}?\d{{3,4}}"  # 020 7946 0958
)


def mark_addresses(text: str) -> str:
    """The text with a mark for each e-mail address."""
    return EMAIL.sub(LINK_MARK, text) if AT_DOMAIN.search(text) else text


def mark_telephones(text: str) -> str:
    """The text with a mark for each telephone number."""
    return CANDIDATE.sub(_mark_if_phone, text)


def _mark_if_phone(match: re.Match[str]) -> str:
    text, (start, end) = match.string, match.span()
    if PHONE.fullmatch(match[0]) and not NOT_BEFORE.search(text, max(start - 1, 0), start):
        if not NOT_AFTER.match(text, end):
            return LINK_MARK
    return match[0]
