"""Emoji, hashtags and other marks: the tokens that they begin with.

Each is rare in every single place, though people use them in every tenth tweet: what a loss hardly
notices, whoever reads the tweets does.
"""

import unicodedata
from collections.abc import Mapping

from tokenizers import Tokenizer

SIGNS = {"#": "hashtags", "@": "mentions", "?": "questions", "\n": "line_breaks"}
KINDS = (*SIGNS.values(), "emoji")
# Cleaning settings that leave no tweet with such a mark to learn from.
WITHOUT = {
    "line_breaks": ("newlines", ("space",)),
    "mentions": ("mentions", ("remove", "drop")),
    "hashtags": ("hashtags", ("words", "remove", "drop")),
    "emoji": ("emoji", ("demojize", "remove", "drop")),
}
SPACES = "Ġ▁"  # as tokenizers of bytes and of characters write a space
EMOJI_BYTES = ("ðŁ", "<0xF0>")  # F0 9F, with which nearly all emoji begin in UTF-8


def find_marks(tokenizer: Tokenizer, texts: Mapping[int, str]) -> dict[str, list[int]]:
    """The ids of tokens that begin with a sign, or an emoji or another symbol, by kind.

    `texts` are those of the ids that count.
    """
    found: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1]):
        start = texts.get(number, "").strip(" ")[:1]
        is_symbol = start and start != "\ufffd" and unicodedata.category(start) == "So"
        if start in SIGNS:
            found[SIGNS[start]].append(number)
        elif number in texts and (is_symbol or token.lstrip(SPACES).startswith(EMOJI_BYTES)):
            found["emoji"].append(number)
    return found


def learned_kinds(cleaning: Mapping[str, object]) -> set[str]:
    """The kinds that training tweets can have, by the settings of preprocess.py."""
    taken = {kind for kind, (name, values) in WITHOUT.items() if cleaning.get(name) in values}
    return {*KINDS} - taken
