"""Links, @names, personal data, hashtags and emoji: each replaced by a mark or by other words.

`punctuation.close_gaps` closes the marks afterwards.
"""

import re

from tweetgen.cleaning.punctuation import NAME_MARK, NEXT_IN_LIST
from tweetgen.text.entities import (
    find_emoji,
    find_hashtags,
    find_urls,
    outside_links,
    replace_spans,
)
from tweetgen.text.lenient import AFTER_AT, LINK_MARK, NAME

# "@a @b and @c: ", ".@a's "; only whole words: "@a-b" and "@a)" are left to NAME
LEADING_NAMES = re.compile(
    rf"(?:[\s\x00.>*~|/\\–—-]*+@{AFTER_AT}(?:['’]s)?[:,;.!?…]*+(?=[\s\x00]|\Z)"
    r"(?:\s*+(?:and|&|\+|/|,)(?=\s*@))?)++\s*+(?:[-–—|>:~,]++\s++)?"
)


def mark_names(text: str) -> str:
    """The text with a mark for each @name, those at its start cut off."""
    if leading := LEADING_NAMES.match(text):
        text = text[leading.end() :]
        if listed := NEXT_IN_LIST.match(text):  # "@a and I went"
            text = text[listed.end() :]
    return NAME.sub(NAME_MARK, text) if "@" in text else text


def mark_names_outside_links(text: str) -> str:
    """The same where links stay: "medium.com/@ann" is no name."""
    if not find_urls(text):
        return mark_names(text)
    names = outside_links([match.span() for match in NAME.finditer(text)], text)
    return replace_spans(text, names, lambda _name: NAME_MARK)


def mark_hashtags(text: str) -> str:
    """The text with a mark for each hashtag."""
    return replace_spans(text, find_hashtags(text), lambda _hashtag: LINK_MARK)


def hashtags_to_words(text: str) -> str:
    """The text with its hashtags as words: "#fun" -> "fun"."""
    return replace_spans(text, find_hashtags(text), lambda hashtag: hashtag[1:])


def mark_emoji(text: str) -> str:
    """The text with a mark for each emoji."""
    spans = find_emoji(text)
    return replace_spans(text, spans, lambda _emoji: LINK_MARK).replace("\ufe0f", "")


def name_emoji(text: str) -> str:
    """The text with its emoji named: "👍" -> ":thumbs_up:"."""
    spans = find_emoji(text)
    if not spans:
        return text
    from emoji import EMOJI_DATA

    named = replace_spans(text, spans, lambda emoji: str(EMOJI_DATA[emoji]["en"]))
    return named.replace("\ufe0f", "")
