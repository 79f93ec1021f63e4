"""X's own count of a tweet's length, which decides whether it can be posted."""

import re
import unicodedata

from tweetgen.text.entities import find_emoji, find_urls, replace_spans

URL_LENGTH = 23  # a link counts this whatever its length: twitter-text config v3
EMOJI_LENGTH = 2

# Characters that count 2 (config v3): all but Latin to Georgian and common punctuation.
WIDE = re.compile("[^\u0000-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]")
# Only an emoji with one of these is more than one character.
EMOJI_JOINT = re.compile(
    "[\u200d\u20e3\ufe0f\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff]|\U000e007f"
)


def weighted_length(text: str, *, whole_emoji: bool = True) -> int:
    """The length X counts (twitter-text config v3; v2 with `whole_emoji=False`); 280 is its limit.

    After NFC, a link counts 23, an emoji of any number of code points 2, other characters 1 or 2:
    "Hi http://test.co" -> 26, "日本" -> 4, "👨‍👩‍👧" -> 2.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    links = find_urls(text)
    text = replace_spans(text, links, lambda _link: " ")
    length = len(text) + len(links) * (URL_LENGTH - 1)
    if text.isascii():
        return length
    length += len(WIDE.findall(text))
    if whole_emoji and EMOJI_JOINT.search(text):
        for start, end in find_emoji(text):
            if end - start > 1:
                wide = len(WIDE.findall(text, start, end))
                length -= end - start + wide - EMOJI_LENGTH
    return length
