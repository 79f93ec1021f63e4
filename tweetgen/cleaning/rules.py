"""A raw tweet in, the words its author wrote out, or the rule that dropped it.

What a rule removes leaves a mark; `close_gaps` closes all marks, so that no rule has to know about
its neighbours. No rule takes more than linear time. Most texts have nothing for most rules: a rule
is only called for texts with its sign, as calls would take half of the time.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

from tweetgen.cleaning import characters, escapes, links, personal_data, removals, retweets
from tweetgen.cleaning.placeholders import SIGNS, as_entities
from tweetgen.cleaning.punctuation import close_gaps
from tweetgen.settings import CleaningSettings
from tweetgen.text.entities import REPLY
from tweetgen.text.html import unescape, without_tags
from tweetgen.text.lenient import LINK_MARK, mark_links

DEFAULTS = CleaningSettings()
MOST_ROUNDS = 4  # "@a's@b": the second is an @name once the first is gone; "&#92;u2019" is "’"
# What most texts consist of; "odd" is the rest of one, which shows that no rule repairs it.
DIGITS = b"0123456789"
HARMLESS = DIGITS + b'"_\t\n\r'  # but for a quote at the start, "_x" and "_U"
NOT_DIGITS = bytes(set(range(256)) - set(DIGITS))
NOT_ASCII = b"\x80"
ORDINARY = bytes(set(range(32, 127)) - set(DIGITS + b'"&<[\\_{'))
# Once a link is removed, these endings show truncation.
REVEALED_ENDS = ("…", "...", "http", "https", ":", "/")

Change = Callable[[str], str | None]
# A step: a sign without which a text is left alone; the name that is counted among the changes, ""
# for none; the change, None where the tweet is to be dropped; the name that is counted then.
Rule = tuple[str, str, Change, str]
Outcome = tuple[str, tuple[str, ...], str]  # the fields of Cleaned


class Cleaned(NamedTuple):
    """A tweet after cleaning; `text` is what was left of it when a rule dropped it."""

    text: str
    changed: tuple[str, ...]  # the rules that changed it
    dropped: str  # the rule that dropped it, or ""


class Dropped(Exception):
    """The tweet is to be left out, by the rule that is named."""


def clean(text: str, settings: CleaningSettings = DEFAULTS) -> Cleaned:
    """The tweet as text to learn from, with the rules that changed it and the one that dropped it.

    clean("RT @a: hi") -> dropped "retweet"; clean("so &amp; so https://t.co/x1 yes") ->
    ("so & so yes", ("entities", "links"), "").
    """
    return Cleaned(*cleaner(settings)(text))


@functools.cache
def cleaner(
    settings: CleaningSettings, bare: frozenset[str] = frozenset()
) -> Callable[[str], Outcome]:
    """`clean` with these settings, for many tweets; plain tuples are made three times as fast.

    `bare` says what the bare words "URL" and "USER" stand for in the tweets' file, as found by
    `placeholders.bare_placeholders`.
    """
    repairs, removing, last = _repairs(settings, bare), _removals(settings), _last_rules(settings)
    whose_words = _whose_words(settings)
    choice = settings.personal_data
    addresses = _chosen((choice, "@", "personal data", personal_data.mark_addresses))
    telephones = _chosen((choice, "", "personal data", personal_data.mark_telephones))
    always_removing = any(sign in ("", "#") for sign, *_ in removing)
    has_words = characters.word_test(settings.min_words)

    def clean_one(text: str) -> Outcome:
        changed: list[str] = []
        text = text.strip()
        odd = text.encode().translate(None, ORDINARY) if text.isascii() else NOT_ASCII
        num_digits = len(odd)  # at most
        try:
            if bare or odd.strip(HARMLESS) or _has_notation(text):
                text = _apply(repairs, text, changed, MOST_ROUNDS)
                num_digits = len(text.encode().translate(None, NOT_DIGITS))
            if "@" in text or "RT" in text:
                text = _apply(whose_words, text, changed)
            if retweets.is_truncated(text):
                return text, tuple(changed), "truncated"
            if "@" in text and personal_data.AT_DOMAIN.search(text):
                text = _apply(addresses, text, changed)
            if num_digits >= personal_data.FEWEST_DIGITS:
                text = _apply(telephones, text, changed)
            if "@" in text or "/" in text or "…" in text or LINK_MARK in text or always_removing:
                text = _apply(removing, text, changed, MOST_ROUNDS)
            if "  " in text or len(last) > 1 or (odd and not text.isprintable()):
                text = _apply(last, text, changed)
        except Dropped as rule:
            return text, tuple(changed), str(rule)
        if text and has_words(text):
            return text, tuple(changed), ""
        return text, tuple(changed), "too short" if text else "empty"

    return clean_one


def _has_notation(text: str) -> bool:
    """Whether a text of ordinary and harmless characters may be one that repairs change."""
    return (
        text[:1] == '"'
        or "URL" in text
        or ("_" in text and ("_x" in text or "_U" in text))
        or ("/" in text and links.whole_links(text) != text)
    )


def _apply(rules: tuple[Rule, ...], text: str, changed: list[str], most_rounds: int = 1) -> str:
    """The text after the rules, round after round until one changes nothing.

    Raises:
        Dropped: a rule drops it.
    """
    for _ in range(most_rounds):
        before = text
        for sign, name, change, dropped in rules:
            if sign in text:
                result = change(text)
                if result is None:
                    raise Dropped(dropped)
                if name and result != text and name not in changed:
                    changed.append(name)
                text = result
        if text == before:
            break
        text = text.strip()
    return text


def _repairs(settings: CleaningSettings, bare: frozenset[str]) -> tuple[Rule, ...]:
    """What shows the text as its author's screen did."""
    replace = functools.partial(
        as_entities, urls=settings.urls != "keep", names=settings.mentions != "keep", bare=bare
    )
    return (
        ('"', "escapes", escapes.without_csv_quotes, ""),
        ("\\", "escapes", escapes.decode_backslashes, ""),
        ("_x", "escapes", escapes.decode_office, ""),
        ("<", "escapes", escapes.decode_r, ""),
        ("<", "html", without_tags, ""),
        ("&", "entities", unescape, ""),
        ("", "characters", characters.readable, ""),  # last of those that decode
        ("/", "links", links.whole_links, ""),
        *((sign, "", replace, "") for sign in ([""] if bare else SIGNS)),
    )


def _whose_words(settings: CleaningSettings) -> tuple[Rule, ...]:
    """Rules for retweets and replies."""
    rules: list[Rule] = []
    if settings.retweets != "keep":
        own_words = retweets.without_mark if settings.retweets == "strip" else retweets.own_words
        rules.append(("", "retweets", own_words, "retweet"))
    if settings.replies == "drop":
        rules.append(("@", "", lambda text: None if REPLY.match(text) else text, "reply"))
    return tuple(rules)


def _removals(settings: CleaningSettings) -> tuple[Rule, ...]:
    """Links, names and the like, as the settings want them."""
    names = removals.mark_names_outside_links if settings.urls == "keep" else removals.mark_names
    tags = removals.hashtags_to_words if settings.hashtags == "words" else removals.mark_hashtags
    emoji = removals.name_emoji if settings.emoji == "demojize" else removals.mark_emoji
    return *_chosen(
        (settings.urls, "/", "links", mark_links),
        (settings.urls, "…", "links", mark_links),
        (settings.mentions, "@", "mentions", names),
        (settings.hashtags, "#", "hashtags", tags),
        (settings.hashtags, "＃", "hashtags", tags),
        (settings.emoji, "", "emoji", emoji),
    ), (LINK_MARK, "", _closed, "truncated")


def _chosen(*rules: tuple[str, str, str, Callable[[str], str]]) -> tuple[Rule, ...]:
    """The rules that are to be used: removing, or dropping the tweets that they would change."""
    return tuple(
        (sign, name, _dropping(change) if choice == "drop" else change, name.removesuffix("s"))
        for choice, sign, name, change in rules
        if choice != "keep"
    )


def _dropping(change: Callable[[str], str]) -> Change:
    return lambda text: text if change(text) == text else None


def _closed(text: str) -> str | None:
    text = close_gaps(text)
    return None if text.endswith(REVEALED_ENDS) and retweets.is_truncated(text) else text


def _last_rules(settings: CleaningSettings) -> tuple[Rule, ...]:
    """White space, and the characters and the letter case that the settings allow."""
    one_line = settings.newlines == "space"
    spaced = characters.single_spaces if one_line else characters.spaces_in_lines
    rules: list[Rule] = [("", "white space", spaced, "")]
    if settings.characters == "basic":
        rules.append(("", "special characters", lambda text: spaced(characters.basic(text)), ""))
    if settings.case == "lower":
        rules.append(("", "letter case", str.lower, ""))
    return tuple(rules)
