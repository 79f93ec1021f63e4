"""What a set of tweets is like, in shares and means."""

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from torch import Tensor

from tweetgen.text.copies import copy_kinds
from tweetgen.text.entities import find_emoji, find_hashtags, find_mentions, find_urls
from tweetgen.text.length import weighted_length
from tweetgen.text.words import split_words

# What the table says of each set, in order: the key, the words, how it is written.
ROWS = (
    ("tweets", "tweets", "{:,.0f}"),
    ("ended", "ended by themselves", "{:.1%}"),
    ("within_limit", "within the length limit", "{:.1%}"),
    ("copies", "copies of training tweets", "{:.1%}"),
    ("usable", "usable as drawn", "{:.1%}"),
    ("new_words", "words in no training tweet", "{:.1%}"),
    ("distinct_2", "distinct pairs of words", "{:.3f}"),
    ("hashtags", "with a hashtag", "{:.1%}"),
    ("mentions", "with a mention", "{:.1%}"),
    ("links", "with a link", "{:.1%}"),
    ("emoji", "with emoji", "{:.1%}"),
    ("questions", "with a question mark", "{:.1%}"),
    ("line_breaks", "with a line break", "{:.1%}"),
    ("mean_length", "mean weighted length", "{:.1f}"),
)
SIGNS: dict[str, Callable[[str], object]] = {
    "hashtags": find_hashtags,
    "mentions": find_mentions,
    "links": find_urls,
    "emoji": find_emoji,
    "questions": re.compile("[?？؟]").search,
    "line_breaks": re.compile("\n").search,
}


class Learned(NamedTuple):
    """The training tweets that others may copy."""

    hashes: dict[str, Tensor]  # made by `copies.build`
    texts: Sequence[str]


def measure(
    texts: Sequence[str],
    limit: int,
    num_pooled: int,
    learned: Learned | None = None,
    ended: Sequence[bool] | None = None,
) -> dict[str, float]:
    """The numbers of one column of the table, by the keys of ROWS; shares are 0 to 1.

    Args:
        texts: the tweets, of which shares and means are.
        limit: the longest weighted length allowed; 0 = any.
        num_pooled: distinct_2 is of so many tweets, for it falls with their number.
        learned: None leaves out copies and new words, as for the training tweets themselves.
        ended: whether each draft ended by itself; None, for tweets that people wrote, leaves out
            this and the share that is usable.
    """
    lengths = [weighted_length(text) for text in texts]
    fits = [not limit or length <= limit for length in lengths]
    found = {name: mean(bool(find(text)) for text in texts) for name, find in SIGNS.items()}
    found |= {"tweets": len(texts), "within_limit": mean(fits), "mean_length": mean(lengths)}
    found["distinct_2"] = distinct_pairs(texts[:num_pooled])
    is_copy = [False] * len(texts)
    if learned:
        is_copy = [kind != "" for kind in copy_kinds(learned.hashes, texts)]
        known = {word for text in learned.texts for word in split_words(text)}
        words = [word for text in texts for word in split_words(text) if word[0].isalpha()]
        found |= {"copies": mean(is_copy), "new_words": mean(word not in known for word in words)}
    if ended is not None:
        checks = zip(texts, ended, fits, is_copy, strict=True)
        usable = [
            bool(text.strip()) and end and fit and not copy for text, end, fit, copy in checks
        ]
        found |= {"ended": mean(ended), "usable": mean(usable)}
    return found


def mean(values: Iterable[float]) -> float:
    """The mean; 0 of nothing."""
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def distinct_pairs(texts: Sequence[str]) -> float:
    """Distinct pairs of neighbouring words per pair (distinct-2, arXiv 1510.03055), 0 to 1."""
    pairs = [pair for text in texts for pair in itertools.pairwise(split_words(text))]
    return len(set(pairs)) / len(pairs) if pairs else 0.0
