"""Links, @names, #hashtags and emoji in a text, by X's own rules.

The rules are those of X's public text library (twitter-text 3.1), whose conformance cases the
tests run. Every `find_` function returns (start, end) positions in characters, in order, and takes
linear time.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

Span = tuple[int, int]

_DOMAINS = Path(__file__).with_name("top_level_domains.txt").read_text(encoding="utf-8")
TOP_LEVEL_DOMAINS = frozenset(
    name for line in _DOMAINS.splitlines() if line[:1] != "#" for name in line.split()
)

LONGEST_URL = 4096  # characters; twitter-text's MAX_URL_LENGTH
LONGEST_LABEL = 63  # characters of Punycode in one part of a host name, RFC 1035
LONGEST_TCO_SLUG = 40  # twitter-text's MAX_TCO_SLUG_LENGTH
LONGEST_EMOJI = 10  # code points, a kiss of two people with skin tones

# Accented Latin letters, which may stand in links and must not follow an @name.
LATIN = (
    "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0253\u0254\u0256\u0257\u0259\u025b\u0263\u0268\u026f"
    "\u0272\u0289\u028b\u02bb\u0300-\u036f\u1e00-\u1eff"
)
DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
SPACE = "\t-\r \x85\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

# Combining marks (Unicode 14, general category M): \w leaves them out, yet Thai, Hindi and Hebrew
# words contain them. Between two marks of a range there are only letters or unassigned characters.
MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0711-\u07f3\u07fd\u0816-\u082d"
    "\u0859-\u085b\u0898-\u08e1\u08e3-\u0963\u0981-\u09e3\u09fe-\u0a75\u0a81-\u0ae3\u0afa-\u0b63"
    "\u0b82-\u0bd7\u0c00-\u0c63\u0c81-\u0c83\u0cbc-\u0d4d\u0d57-\u0d63\u0d81-\u0df3\u0e31-\u0e3a"
    "\u0e47-\u0e4e\u0eb1-\u0ecd\u0f18\u0f19\u0f35\u0f37\u0f39\u0f3e-\u0f84\u0f86-\u0fbc\u0fc6"
    "\u102b-\u103e\u1056-\u109d\u135d-\u135f\u1712-\u1734\u1752-\u17d3\u17dd\u180b-\u180d"
    "\u180f-\u193b\u1a17-\u1a1b\u1a55-\u1a7f\u1ab0-\u1b44\u1b6b-\u1b73\u1b80-\u1bf3\u1c24-\u1c37"
    "\u1cd0-\u1cd2\u1cd4-\u1dff\u20d0-\u20e2\u20e4-\u20f0\u2cef-\u2cf1\u2d7f-\u2dff\u302a-\u302f"
    "\u3099\u309a\ua66f-\ua672\ua674-\ua67d\ua69e-\ua6f1\ua802-\ua827\ua82c\ua880-\ua8c5"
    "\ua8e0-\ua8f1\ua8ff-\ua92d\ua947-\ua953\ua980-\ua9c0\ua9e5-\uaa4d\uaa7b-\uaac1\uaaeb-\uaaef"
    "\uaaf5\uaaf6\uabe3-\uabea\uabec\uabed\ufb1e\ufe20-\ufe2f"
    # The scripts beyond the basic plane, their few punctuation marks included.
    "\U000101fd-\U0001037a\U00010a01-\U00010f85\U00011000-\U00011ef6\U00016af0-\U00016b36"
    "\U00016f4f-\U00016f92\U0001e000-\U0001e94a"
)

# Part of a host name: anything but ASCII punctuation, spaces and directional marks.
_HOST = rf"[^\x00-,./:-@\[-^`{{-\x9f{SPACE}{DIRECTION}\ufeff\ufffe\uffff]"  # and - _
DOT_IN_WORD = re.compile(r"\.[^\s.]")  # without one there is no link; faster than HOST
HOST = re.compile(rf"(?<!{_HOST}){_HOST}++(?:\.{_HOST}++)++")  # "www.a_b.example"
HOST_HERE = re.compile(rf"{_HOST}++(?:\.{_HOST}++)++")
PROTOCOL_BEFORE = re.compile(r"(?<![A-Za-z0-9@＠$#＃])https?://\Z", re.IGNORECASE)
NOT_BEFORE_URL = re.compile("[A-Za-z0-9@＠$#＃_./-]")
ASCII_NAME = re.compile(
    rf"(?<![A-Za-z0-9{LATIN}-])(?:[A-Za-z0-9{LATIN}-]++\.)++"
)  # "twitter." in "日本twitter.jp"
ASCII_DOMAIN = re.compile(r"xn--[-0-9a-z]+|[a-z]++(?![0-9a-z@+-])", re.IGNORECASE)
NOT_AFTER_DOMAIN = re.compile("[0-9A-Za-z@+-]")
PORT = re.compile(r":[0-9]+")
_PATH = rf"A-Za-z\u0400-\u04ff0-9!*';:=+,.$/%#\[\]\u2013_~@|&{LATIN}-"
PATH = re.compile(rf"/(?:[{_PATH}]++|\((?:[{_PATH}]++|\([{_PATH}]++\))*+\))*+")
PATH_TAIL = "!*';:,.$%[]–~@|&"  # allowed inside a path, but not as its last character
QUERY = re.compile(r"\?[A-Za-z0-9!?*'@();:&=+$/%#\[\]_.,~|-]*+")
QUERY_TAIL = "!?*'@();:+$%[].,~|"
TCO = re.compile(r"https?://t\.co/([a-z0-9]++)", re.IGNORECASE)  # "http://t.co/pbY2NfTZ's"

# "@name", "＠name", "RT@name", "@name/list"; not in "me@mail.com", "@_@", "@aliceì"
MENTION = re.compile(
    r"(?:(?<![A-Za-z0-9_!#$%&*@＠])|(?<=RT)(?<![A-Za-z0-9_+~.-]RT)"
    r"|(?<=[Rr][Tt])(?<![A-Za-z0-9_+~.-][Rr][Tt]))"
    rf"[@＠]([A-Za-z0-9_]{{1,20}}+)(/[A-Za-z][A-Za-z0-9_-]{{0,24}}+)?(?![@＠{LATIN}]|://)"
)
REPLY = re.compile(rf"[{SPACE}]*[@＠]([A-Za-z0-9_]{{1,20}}+)(?![@＠{LATIN}]|://)")  # " @name hi"

# What stands in a hashtag beside letters, digits and marks: ZWNJ ZWJ, Hebrew and Tibetan points,
# middle dots, Japanese tildes.
_TAG = (
    rf"\w{MARKS}\u00b7\u05be\u05f3\u05f4\u0f0b\u0f0c\u200c\u200d\u3003\u301c\u309b\u309c\u30a0\u30fb"
    r"\ua67e\uff5e"
)
# "#café", "＃日本語", "#1st"; not "#16", "#1_2", "a#b", "#️⃣", "&#39;", "#http://"
HASHTAG = re.compile(rf"(?<![{_TAG}&])[#＃](?![\ufe0f\u20e3])([{_TAG}]++)(?![#＃]|://)")
LETTER = re.compile(rf"[^\W\d_]|[{MARKS}]")

# What an emoji can start with, join and end with; which of these are emoji the emoji package knows.
EMOJI_START = (
    "©®‼⁉™ℹ\u2194-\u21aa\u231a-\u23fa\u24c2\u25aa-\u27bf\u2934\u2935\u2b05-\u2b55〰〽㊗㊙"
    "\U0001f000-\U0001faff"
)
_EMOJI_PART = "\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"  # VS16, skin tones, tags
_LONE_PART = f"[{_EMOJI_PART}\u20e3\U0001f1e6-\U0001f1ff]"
# Joiners spell words in Persian and Indic scripts; beside anything but a letter they are broken.
BROKEN_EMOJI = re.compile(rf"{_LONE_PART}|(?<![\w{MARKS}])\u200d|\u200d(?![\w{MARKS}])")
EMOJI = re.compile(
    rf"[0-9#*]\ufe0f?\u20e3|[\U0001f1e6-\U0001f1ff]{{2}}"
    rf"|[{EMOJI_START}][{_EMOJI_PART}]*+(?:\u200d[{EMOJI_START}][{_EMOJI_PART}]*+)*+"
)


def find_urls(text: str) -> list[Span]:
    """Where the links are, with or without protocol: "go to x.com/a." -> [(6, 13)]."""
    if not DOT_IN_WORD.search(text):
        return []
    spans: list[Span] = []
    match = HOST.search(text)
    while match:
        start, position = match.span()
        if position - start <= LONGEST_URL:
            found, position = _urls_in_host(text, start, position)
            spans += found
        # The character after a link may stand before another one: "x.com日y.com". The limit keeps
        # a long run without spaces from being read again after each link in it.
        match = HOST_HERE.match(text, position + 1, position + LONGEST_URL)
        match = match or HOST.search(text, position)
    return spans


def _urls_in_host(text: str, start: int, end: int) -> tuple[list[Span], int]:
    """The links that begin in the host name text[start:end], and where to go on looking."""
    protocol = PROTOCOL_BEFORE.search(text, max(start - 9, 0), start)
    before = text[start - 1 : start]
    if not protocol and NOT_BEFORE_URL.match(before):
        return [], end
    domain_end = _domain_end(text, start, end)
    if not domain_end:
        return [], end
    url_end, has_path = _tail_end(text, domain_end)
    if protocol:
        start = protocol.start()
        if tco := TCO.match(text, start):
            if len(tco[1]) > LONGEST_TCO_SLUG:
                return [], url_end
            url_end = _query_end(text, tco.end())
        return [(start, url_end)], url_end
    spans = _ascii_domains(text, start, domain_end)
    if spans and has_path:
        spans[-1] = (spans[-1][0], url_end)
    return spans, max(url_end, domain_end)


def _domain_end(text: str, start: int, end: int) -> int:
    """Where the longest valid domain that begins at `start` ends, or 0: "a.com.x_y" -> 5."""
    best = 0
    label_start = start
    valid_name = False
    while label_start < end:
        label_end = text.find(".", label_start, end)
        label_end = end if label_end < 0 else label_end
        if valid_name:
            best = _top_level_end(text, label_start, label_end) or best
        label = text[label_start:label_end]
        if label[0] in "-_" or label[-1] in "-_" or not _fits_dns(label):
            break
        valid_name = "_" not in label
        label_start = label_end + 1
    return best


def _fits_dns(label: str) -> bool:
    """Whether a part of a host name can be looked up at all: 63 characters at most, in Punycode."""
    if label.isascii():
        return len(label) <= LONGEST_LABEL
    if label[:4].lower() == "xn--" or len(label) > LONGEST_LABEL:
        return False
    return len(label.encode("punycode", "replace")) + len("xn--") <= LONGEST_LABEL


def _top_level_end(text: str, start: int, end: int) -> int:
    """Where the top-level domain that begins at `start` ends, or 0: "com日本" -> 3."""
    match = ASCII_DOMAIN.match(text, start)
    if match:
        name = match[0].lower()
        return match.end() if name in TOP_LEVEL_DOMAINS or name.startswith("xn--") else 0
    for stop in range(min(end, start + 20), start, -1):
        if text[start:stop] in TOP_LEVEL_DOMAINS and not NOT_AFTER_DOMAIN.match(text, stop):
            return stop
    return 0


def _tail_end(text: str, position: int) -> tuple[int, bool]:
    """Where port, path and query end, and whether there is a path."""
    if port := PORT.match(text, position):
        position = port.end()
    path = PATH.match(text, position)
    if path:
        position += len(path[0].rstrip(PATH_TAIL))
    return _query_end(text, position), path is not None


def _query_end(text: str, position: int) -> int:
    query = QUERY.match(text, position)
    return position + len(query[0].rstrip(QUERY_TAIL)) if query else position


def _ascii_domains(text: str, start: int, end: int) -> list[Span]:
    """The domains in a host name that Japanese may surround: "日本x.com中国y.jp" -> x.com, y.jp."""
    if text[start:end].isascii():
        return [(start, end)]
    names = (match.span() for match in ASCII_NAME.finditer(text, start, end))
    spans = [(start, _top_level_end(text, name_end, end)) for start, name_end in names]
    return [span for span in spans if span[1]]


def find_mentions(text: str) -> list[Span]:
    """Where the @names are, the sign and a list's name included."""
    return [match.span() for match in MENTION.finditer(text)]


def find_hashtags(text: str) -> list[Span]:
    """Where the #hashtags outside of links are, the sign included."""
    spans = [match.span() for match in HASHTAG.finditer(text) if LETTER.search(match[1])]
    return outside_links(spans, text) if spans else []


def outside_links(spans: list[Span], text: str) -> list[Span]:
    """Those spans of a text that do not begin in a link."""
    links = find_urls(text)
    return [span for span in spans if not any(start <= span[0] < end for start, end in links)]


def find_emoji(text: str) -> list[Span]:
    """Where the emoji are; a family, a flag, a keycap or a skin tone is one with its base."""
    candidates = [match.span() for match in EMOJI.finditer(text)]
    if not candidates:
        return []
    from emoji import EMOJI_DATA  # 0.1 s, so only for a text that may hold an emoji

    spans: list[Span] = []
    for start, end in candidates:
        if text.startswith("\ufe0e", end):  # "☺︎": the last one asked to be drawn as text
            end -= 1
        while start < end:
            stop = _longest_emoji(text, start, end, EMOJI_DATA)
            if stop > start:
                spans.append((start, stop))
            start = max(stop, start + 1)
    return spans


def _longest_emoji(text: str, start: int, end: int, known: Mapping[str, object]) -> int:
    """Where the longest known emoji that begins at `start` ends, or `start`."""
    stops = range(min(end, start + LONGEST_EMOJI), start, -1)
    return next((stop for stop in stops if text[start:stop] in known), start)


def has_broken_emoji(text: str) -> bool:
    """Whether an emoji sequence lacks a part: two joiners in a row, one at the end, a lone
    skin tone, variation selector or half of a flag.
    """
    if text.isascii() or not BROKEN_EMOJI.search(text):
        return False
    without_emoji = replace_spans(text, find_emoji(text), lambda _emoji: " ")
    return BROKEN_EMOJI.search(without_emoji) is not None


def replace_spans(text: str, spans: Iterable[Span], replacement: Callable[[str], str]) -> str:
    """The text with what stands at each (start, end) replaced."""
    pieces = []
    position = 0
    for start, end in spans:
        pieces += [text[position:start], replacement(text[start:end])]
        position = end
    return "".join(pieces) + text[position:]
