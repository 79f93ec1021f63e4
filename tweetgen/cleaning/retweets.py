"""Whose words a tweet holds: retweets, quoted tweets, and copies that old interfaces cut off."""

import re

from tweetgen.cleaning.punctuation import without_pointer
from tweetgen.text.lenient import RETWEET_MARK

# A tweet somebody else wrote: "RT @a: x", "RT:@a x", "RT a: x", "“@a: x”"; not "RTFM", "RT this"
RETWEET = re.compile(
    r"[\s.(\"“”'‘]*+(?:(?:[RM]T|rt|Rt|rT)[\s:]*+[\"“]?@\w"
    r"|RT[\s:]++(?:@ )?(?!https?:)(?=\w*[A-Za-z])\w{1,20}(?::|\s++RT\s)"
    r"|(?<=[\"“])@\w{1,20}:|Retweeted .{1,60}? \(@\w{1,20}\):)"
)
BEFORE_RETWEET = frozenset("RrM.(\"“”'‘")
# "so true! RT @a: x", "wow MT @a x"; not "please RT @a"
INNER_RETWEET = re.compile(
    r"(?:[RM]T)(?<![\w/#@$&]..)(?<!ls ..)(?<!lease ..)(?<!LEASE ..)(?<!lz ..)(?<! to ..)(?<!and ..)"
    r"[\s:]*+[\"“]?@\w"
)
QUOTED_TWEET = re.compile(r"\s*[\"“]@\w{1,20}:.*[\"”]", re.DOTALL)  # “@a: x” these are my words

# The last word of a tweet that was cut inside a link, before its dots: "h…", "http://t.c..."
CUT_LINK = re.compile(r".*?(?:\bht?t?\Z|https?(?::[\w./-]*)?\Z|\b(?:t\.co/|pic\.t)[\w./]*\Z)")
CUT_PROTOCOL = re.compile(r"(?s:.*?)\bhttps?(?::/{0,2}(?:t(?:\.(?:co?/?)?)?)?)?\Z")  # "http://t"
LINKS = re.compile(r"[\"”)]?\s*+(?:https?://\S++\s*+)++")
ENDS_OF_CUT = ("…", "...", "…”", '…"', " ht", " htt")
SHORTEST_CUT = 110  # characters up to the "…": of the 140, a link and a space may be gone


def own_words(text: str) -> str | None:
    """The words of a retweet's author beside those retweeted: "so true! RT @a: x" -> "so true!".

    None where there are no such words.
    """
    if text[0] in BEFORE_RETWEET and RETWEET.match(text):
        quoted = QUOTED_TWEET.match(text)
        return (text[quoted.end() :].lstrip() or None) if quoted else None
    if text.rfind("@") > 2 and ("RT" in text or "MT" in text):
        inner = INNER_RETWEET.search(text)
        if inner:
            return without_pointer(text[: inner.start()].rstrip()) or None
    return text


def without_mark(text: str) -> str | None:
    """All words of a retweet, None where there are none: "RT @a: x" -> "x"."""
    return RETWEET_MARK.sub("", text).strip() or None


def is_truncated(text: str) -> bool:
    """Whether the end was cut off: inside a link, or by a "…" where old interfaces cut.

    A shorter tweet may end in "…", as people do. A link may follow the "…".
    """
    if text.endswith(ENDS_OF_CUT):
        return _is_cut(text)
    if "http" in text and text.find("http", -len("https://t.co/")) >= 0:
        return CUT_PROTOCOL.match(text[-30:]) is not None
    dots_end = text.rfind("…", SHORTEST_CUT - 1) + 1 if "…" in text else 0
    return dots_end > 0 and LINKS.fullmatch(text, dots_end) is not None


def _is_cut(text: str) -> bool:
    """Whether a text that ends in dots or in "ht" was cut."""
    people_write_so = text.endswith("...") and not (text[:2] == "RT" and text.endswith(" ..."))
    if len(text) >= SHORTEST_CUT and not people_write_so:
        return True
    words = text[-40:].rstrip('….”" ').split()
    return text[-1] != "t" and bool(words) and CUT_LINK.match(words[-1]) is not None
