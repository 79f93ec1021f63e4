"""A raw tweet in, the words its author wrote out, or the rule that dropped it.

The rules are a table: a name, a sign without which a text has nothing for the rule, and a function
from a text to a text. What a rule removes leaves a mark; one rule closes all marks, so that no
other has to know about its neighbours. No rule takes more than linear time.
"""

import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tweetgen.cleaning import (
    characters,
    escapes,
    links,
    personal_data,
    placeholders,
    removals,
    retweets,
)
from tweetgen.cleaning.punctuation import close_gaps
from tweetgen.settings import CleaningSettings
from tweetgen.text.entities import REPLY
from tweetgen.text.html import unescape, without_tags
from tweetgen.text.lenient import LINK_MARK, mark_links

DEFAULTS = CleaningSettings()
MOST_ROUNDS = 4  # "@a's@b": the second is an @name once the first is gone; "&#92;u2019" is "’"
# Once a link is removed, these endings show truncation.
REVEALED_ENDS = ("…", "...", "http", "https", ":", "/")

Change = Callable[[str], str | None]


class Cleaned(NamedTuple):
    """A tweet after cleaning; `text` is what there was when a rule dropped it."""

    text: str
    changed: tuple[str, ...]  # the rules that changed it
    dropped: str  # the rule that dropped it, or ""


class Rule(NamedTuple):
    """One step; `change` gives None where the tweet is to be dropped."""

    name: str  # as counted among the changes; "" is not counted
    sign: str  # a text without it is left alone
    change: Change
    dropped: str = ""  # as counted among the dropped


def clean(text: str, settings: CleaningSettings = DEFAULTS) -> Cleaned:
    """The tweet as text to learn from, with the rules that changed it and the one that dropped it.

    clean("RT @a: hi") -> dropped "retweet"; clean("so &amp; so https://t.co/x1 yes") ->
    ("so & so yes", ("entities", "links"), "").
    """
    return cleaner(settings)(text)


@functools.cache
def cleaner(
    settings: CleaningSettings, bare: frozenset[str] = frozenset()
) -> Callable[[str], Cleaned]:
    """`clean` with these settings, for many tweets.

    `bare` says what the bare words "URL" and "USER" stand for in the tweets' file, as found by
    `placeholders.bare_placeholders`.
    """
    # Plain tuples: unpacking named ones takes three times as long.
    stages = tuple(
        (tuple((r.sign, (r.name, r.change, r.dropped)) for r in rules), most_rounds)
        for rules, most_rounds in (
            (_repairs(settings, bare), MOST_ROUNDS),
            (_whole_tweet_rules(settings), 1),
            (_personal_data_rules(settings), 1),
            (_removals(settings), MOST_ROUNDS),
            (_last_rules(settings), 1),
        )
    )

    def clean_one(text: str) -> Cleaned:
        changed: list[str] = []
        text = text.strip()
        for rules, most_rounds in stages:
            for _ in range(most_rounds):
                before = text
                for sign, rule in rules:
                    if sign in text:
                        name, change, dropped = rule
                        result = change(text)
                        if result is None:
                            return Cleaned(text, tuple(changed), dropped)
                        if result != text and name and name not in changed:
                            changed.append(name)
                        text = result
                if text == before:
                    break
                text = text.strip()
        return Cleaned(text, tuple(changed), _too_little(text, settings.min_words))

    return clean_one


def _repairs(settings: CleaningSettings, bare: frozenset[str]) -> tuple[Rule, ...]:
    """What shows the text as its author's screen did."""
    replace = functools.partial(
        placeholders.as_entities,
        urls=settings.urls != "keep",
        names=settings.mentions != "keep",
        bare=bare,
    )
    signs = ("",) if bare else placeholders.SIGNS
    return (
        Rule("escapes", '"', escapes.without_csv_quotes),
        Rule("escapes", "\\", escapes.decode_backslashes),
        Rule("escapes", "_", escapes.decode_office),
        Rule("escapes", "<", escapes.decode_r),
        Rule("html", "<", without_tags),
        Rule("entities", "&", unescape),
        Rule("characters", "", characters.readable),  # last of those that decode
        Rule("links", "/", links.whole_links),
        *(Rule("", sign, replace) for sign in signs),
    )


def _whole_tweet_rules(settings: CleaningSettings) -> tuple[Rule, ...]:
    """Whose words the tweet holds, and whether they are all there."""
    rules = []
    if settings.retweets != "keep":
        own_words = retweets.without_mark if settings.retweets == "strip" else retweets.own_words
        # "“@name: words”" has no "RT", "RT name: words" no "@"
        rules = [Rule("retweets", sign, own_words, "retweet") for sign in ("@", "RT")]
    rules.append(Rule("", "", retweets.unless_truncated, "truncated"))
    if settings.replies == "drop":
        rules.append(Rule("", "@", lambda text: None if REPLY.match(text) else text, "reply"))
    return tuple(rules)


def _personal_data_rules(settings: CleaningSettings) -> tuple[Rule, ...]:
    """E-mail addresses and telephone numbers; the marks in their place are closed later."""
    name = "personal data"
    rules = (
        Rule(name, "@", personal_data.mark_addresses, name),
        Rule(name, "", personal_data.mark_telephones, name),
    )
    return _by_choice((settings.personal_data, rule) for rule in rules)


def _removals(settings: CleaningSettings) -> tuple[Rule, ...]:
    """Links, names and the like, as the settings want them."""
    names = removals.mark_names_outside_links if settings.urls == "keep" else removals.mark_names
    tags = removals.hashtags_to_words if settings.hashtags == "words" else removals.mark_hashtags
    emoji = removals.name_emoji if settings.emoji == "demojize" else removals.mark_emoji
    rules = (
        (settings.urls, Rule("links", "/", mark_links, "link")),
        (settings.urls, Rule("links", "…", mark_links, "link")),
        (settings.mentions, Rule("mentions", "@", names, "mention")),
        (settings.hashtags, Rule("hashtags", "#", tags, "hashtag")),
        (settings.hashtags, Rule("hashtags", "＃", tags, "hashtag")),
        (settings.emoji, Rule("emoji", "", emoji, "emoji")),
        ("remove", Rule("", LINK_MARK, _closed, "truncated")),
    )
    return _by_choice(rules)


def _by_choice(rules: Iterable[tuple[str, Rule]]) -> tuple[Rule, ...]:
    """The rules that are to be used: removing, or dropping the tweets that they would change."""
    return tuple(
        rule._replace(change=_drop_if_changed(rule.change)) if choice == "drop" else rule
        for choice, rule in rules
        if choice != "keep"
    )


def _closed(text: str) -> str | None:
    text = close_gaps(text)
    return retweets.unless_truncated(text) if text.endswith(REVEALED_ENDS) else text


def _drop_if_changed(change: Change) -> Change:
    return lambda text: text if change(text) == text else None


def _last_rules(settings: CleaningSettings) -> tuple[Rule, ...]:
    """White space, and the characters and the letter case that the settings allow."""
    one_line = settings.newlines == "space"
    spaced = characters.single_spaces if one_line else characters.spaces_in_lines
    rules = [Rule("white space", "", spaced)]
    if settings.characters == "basic":
        rules.append(Rule("special characters", "", lambda text: spaced(characters.basic(text))))
    if settings.case == "lower":
        rules.append(Rule("letter case", "", str.lower))
    return tuple(rules)


def _too_little(text: str, min_words: int) -> str:
    """The rule that drops a text of too few words, or ""."""
    if not text:
        return "empty"
    return "" if characters.has_words(text, min_words) else "too short"
