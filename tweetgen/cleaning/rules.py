r"""A raw tweet in, the words its author wrote out, or the rule that dropped it.

Every rule is one named pattern, and a cheap test ("is there an @ at all?") stands before it: most
tweets need few of them, and none takes more than linear time. What a rule removes leaves a mark,
and `gaps` closes all marks at once, so that no rule has to know about its neighbours.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tweetgen.cleaning.characters import (
    basic,
    composed,
    decode_escapes,
    has_words,
    single_spaces,
    spaces_in_lines,
    unescape,
    visible,
)
from tweetgen.cleaning.gaps import GAP, NAME_GAP, NEXT_IN_LIST, close_gaps
from tweetgen.cleaning.retweets import RETWEET_MARK, is_truncated, own_words
from tweetgen.settings import CleaningSettings
from tweetgen.text.entities import (
    LATIN,
    MARKS,
    REPLY,
    Span,
    find_emoji,
    find_hashtags,
    find_urls,
)

DEFAULTS = CleaningSettings()
REVEALED_ENDS = ("…", "...", "http", "https", ":", "/")  # after what stood behind was removed
MOST_ROUNDS = 4  # "@a's@b": the second is an @name once the first is gone; "&#92;u2019" is "’"

_IN_LINK = rf"A-Za-z0-9\u0400-\u04ff{LATIN}/_=#&%+~@$^\-"
# "https://t.co/x1" (the slug alone), "http://x.com/a_(b)?c=d" (no final . , : ' or lone bracket),
# "http…"
LINK = re.compile(
    r"https?(?:://(?:t\.co/[A-Za-z0-9]*+(?:\?[\w=&.%#-]*+)?…?|[\w./-]*+…"
    rf"|(?=[{_IN_LINK}])(?:[{_IN_LINK}]++|[.,;:!?*']++(?=[{_IN_LINK}])|\([{_IN_LINK}.,;:!?*']*+\))*+)"
    r"|:?/?…)"
)
GLUED_LINK = re.compile("http(?<=[A-Za-z0-9]http)s?://")  # "t.co/x1https://t.co/x2"
LINK_START = re.compile("https?://", re.IGNORECASE)  # "http:// x.com"
# "wordpic.twitter.com/x1" -> "word"
PICTURE = re.compile(r"pic\.(?:twitter|x)\.com(?:/(?:(?!pic\.)\w)*+)?")
DOMAIN_WITH_PATH = re.compile(r"\.[A-Za-z]{2,}(?::\d+)?/")  # "bit.ly/x"; not "and/or", "x.com"

_NAME = rf"[A-Za-z0-9_]++(?![@＠{LATIN}]|://)"
_NO_TIME = r"(?!\d{1,2}(?:[AaPp][Mm]|[Hh])?(?!\w))"  # "@7pm", "@9:30"
# "@name", "@name/list"; not "me@mail.com", "@_@", "f!@k"
NAME = re.compile(
    rf"@(?<![A-Za-z0-9_#$%@＠]@)(?:(?<![!*&]@)|(?=\w{{6}})){_NO_TIME}{_NAME}(?:/[A-Za-z][\w-]*+)?"
)
# "@a @b and @c: ", ".@a's "; only whole words: "@a-b" and "@a)" are left to NAME
LEADING_NAMES = re.compile(
    rf"(?:[\s\x00.>*~|/\\–—-]*+@{_NO_TIME}{_NAME}(?:['’]s)?[:,;.!?…]*+(?=[\s\x00]|\Z)"
    r"(?:\s*+(?:and|&|\+|/|,)(?=\s*@))?)++\s*+(?:[-–—|>:~]++\s++)?"
)
LINK_DOTS = re.compile("\xa0…")  # how the web page shows that it shortened a link, not the tweet
FULLWIDTH_AT = re.compile(r"＠(?=[A-Za-z0-9_])")  # "＠name"

NOT_IN_KEY = re.compile(rf"[^\w{MARKS}]+|_+")
NOT_IN_ASCII_KEY = bytes(code for code in range(128) if not chr(code).isalnum())


class Cleaned(NamedTuple):
    """A tweet after cleaning; `text` is what there was when a rule dropped it."""

    text: str
    changed: tuple[str, ...]  # the rules that changed it
    dropped: str  # the rule that dropped it, or ""


ASCII_SPACE = " \t\n\v\f\r"  # not \x85, which may be the dots of cp1252
_NEW = tuple.__new__  # 0.15 µs against the 0.3 µs of calling the class


def clean(text: str, settings: CleaningSettings = DEFAULTS) -> Cleaned:
    """The tweet as text to learn from, with the rules that changed it and the one that dropped it.

    clean("RT @a: hi") -> dropped "retweet"; clean("so &amp; so https://t.co/x1 yes") ->
    ("so & so yes", ("entities", "links"), "").
    """
    changed: list[str] = []
    text = text.strip(ASCII_SPACE)
    printable = text.isprintable()
    odd = "&" in text or "\\" in text or "_" in text or text[:1] == '"'
    if odd or not (printable and text.isascii()):
        text = _mended(text, printable, changed)
        printable = text.isprintable() if changed else printable
    if not printable or changed:
        text = text.strip()
    if settings.retweets != "keep" and ("@" in text or text[:2] == "RT"):
        words = own_words(text, settings.retweets == "strip")
        if not words:
            return Cleaned(text, tuple(changed), "retweet")
        if words != text:
            changed.append("retweets")
            text = words
    if is_truncated(text):
        return Cleaned(text, tuple(changed), "truncated")
    if settings.replies == "drop" and REPLY.match(text):
        return Cleaned(text, tuple(changed), "reply")
    if "@" in text or "/" in text or not text.isascii() or settings.hashtags != "keep":
        text, dropped = _without_entities(text, settings, changed)
        if not dropped and text.endswith(REVEALED_ENDS) and is_truncated(text):
            dropped = "truncated"
        if dropped:
            return Cleaned(text, tuple(changed), dropped)
    if "  " in text or not printable:
        before = text
        text = _evenly_spaced(text, settings)
        if text != before:
            changed.append("white space")
    if settings.case == "lower" or settings.characters == "basic":
        text = _restricted(text, settings, changed)
    if has_words(text, settings.min_words) and text:
        return _NEW(Cleaned, (text, tuple(changed), ""))
    return Cleaned(text, tuple(changed), "too short" if text else "empty")


def _mended(text: str, printable: bool, changed: list[str]) -> str:
    """The text as its author's screen showed it."""
    for _ in range(MOST_ROUNDS):
        before = text
        if not printable or "\ufffd" in text:
            text = visible(text).strip()
        if not text.isascii():
            text = composed(text)
            if "＠" in text:
                text = FULLWIDTH_AT.sub("@", text)
            if "\xa0" in text:
                text = LINK_DOTS.sub("", text)
        if text != before:
            _note(changed, "characters")
        encoded = text
        if "\\" in text or "_x" in text or text[:1] == '"':
            text = decode_escapes(text)
            if text != encoded:
                _note(changed, "escapes")
        if "&" in text:
            before = text
            text = unescape(text)
            if text != before:
                _note(changed, "entities")
        if text == encoded:
            break
        printable = text.isprintable()
    else:  # what the last round decoded: a corpus parts its texts by a control character
        if not printable:
            text = visible(text).strip()
    return text


def _without_entities(text: str, settings: CleaningSettings, changed: list[str]) -> tuple[str, str]:
    """The text without what the settings remove, or the rule that drops it."""
    for _ in range(MOST_ROUNDS):
        before = text
        if ("/" in text or ("…" in text and "http…" in text)) and settings.urls != "keep":
            marked = _with_link_marks(text)
            if marked != text:
                if settings.urls == "drop":
                    return text, "link"
                _note(changed, "links")
                text = marked
        if "@" in text and settings.mentions != "keep":
            marked = _with_name_marks(text, settings.urls == "keep")
            if marked != text:
                if settings.mentions == "drop":
                    return text, "mention"
                _note(changed, "mentions")
                text = marked
        if settings.hashtags != "keep" or settings.emoji != "keep":
            text, dropped = _other_entities(text, settings, changed)
            if dropped:
                return text, dropped
        if GAP in text:
            text = close_gaps(text).strip()
        if text == before or not ("@" in text or "/" in text or settings.hashtags != "keep"):
            break
    return text, ""


def _note(changed: list[str], rule: str) -> None:
    if rule not in changed:
        changed.append(rule)


def _with_link_marks(text: str) -> str:
    """The text with a mark for each link: with protocol, picture, domain with a path."""
    if "http" in text:
        if text.count("http") > 1:
            text = GLUED_LINK.sub(r" \g<0>", text)
        text = LINK.sub(GAP, text)
    if "/" not in text:
        return text
    if "://" in text:  # upper case, or a host name in Japanese
        text = LINK_START.sub(GAP, _replaced(text, find_urls(text), _gap))
    if "pic." in text:
        text = PICTURE.sub(GAP, text)
    if DOMAIN_WITH_PATH.search(text):
        links = [span for span in find_urls(text) if "/" in text[slice(*span)]]
        text = _replaced(text, links, _gap)
    return text


def _with_name_marks(text: str, links_stay: bool) -> str:
    """The text with a mark for each @name, those at its start cut off."""
    if leading := LEADING_NAMES.match(text):
        text = text[leading.end() :]
        if listed := NEXT_IN_LIST.match(text):  # "@a and I went"
            text = text[listed.end() :]
    if "@" not in text:
        return text
    if not links_stay:
        return NAME.sub(NAME_GAP, text)
    links = find_urls(text)
    names = [match.span() for match in NAME.finditer(text)]
    outside = [name for name in names if not any(start < name[0] < end for start, end in links)]
    return _replaced(text, outside, lambda name: NAME_GAP)


def _other_entities(text: str, settings: CleaningSettings, changed: list[str]) -> tuple[str, str]:
    """The text with its hashtags and emoji as the settings want them, or the rule that drops it."""
    spans = find_hashtags(text) if settings.hashtags != "keep" else []
    if spans:
        if settings.hashtags == "drop":
            return text, "hashtag"
        _note(changed, "hashtags")
        text = _replaced(text, spans, _without_sign if settings.hashtags == "words" else _gap)
    spans = find_emoji(text) if settings.emoji != "keep" else []
    if spans:
        if settings.emoji == "drop":
            return text, "emoji"
        _note(changed, "emoji")
        text = _replaced(text, spans, _emoji_name if settings.emoji == "demojize" else _gap)
        text = text.replace("\ufe0f", "")
    return text, ""


def _replaced(text: str, spans: Sequence[Span], replacement: Callable[[str], str]) -> str:
    pieces = []
    position = 0
    for start, end in spans:
        pieces += [text[position:start], replacement(text[start:end])]
        position = end
    return "".join(pieces) + text[position:]


def _gap(_removed: str) -> str:
    return GAP


def _without_sign(hashtag: str) -> str:
    return hashtag[1:]


def _emoji_name(emoji: str) -> str:
    from emoji import EMOJI_DATA

    return str(EMOJI_DATA[emoji]["en"])


def _evenly_spaced(text: str, settings: CleaningSettings) -> str:
    """The text with single spaces, in one line unless the settings keep its lines."""
    return single_spaces(text) if settings.newlines == "space" else spaces_in_lines(text)


def _restricted(text: str, settings: CleaningSettings, changed: list[str]) -> str:
    """The text with only the characters and the letter case that the settings allow."""
    if settings.characters == "basic":
        before = text
        text = _evenly_spaced(basic(text), settings)
        if text != before:
            changed.append("special characters")
    if settings.case == "lower":
        before = text
        text = text.lower()
        if text != before:
            changed.append("letter case")
    return text


def canonical_key(text: str) -> str:
    """What two copies of a tweet have in common: its words, in small letters, without spaces.

    "RT @a: So &amp; SO! http://x.com/1" -> "soso". A text without words is its own key.
    """
    key = unescape(text) if "&" in text else text
    if "@" in key or key[:2] == "RT":
        key = NAME.sub("", RETWEET_MARK.sub("", key))
    if "/" in key:
        key = _with_link_marks(key)
    if key.isascii():
        key = key.lower().encode().translate(None, NOT_IN_ASCII_KEY).decode()
    else:
        key = NOT_IN_KEY.sub("", key.casefold())
    return key or text
