"""Texts as words, also in scripts that put no spaces between them."""

import re
from collections.abc import Sequence

# Thai, Lao, Tibetan, Burmese, Khmer, kana and Han are written without spaces between words.
_SPACELESS = (
    "\u0e01-\u0e30\u0e81-\u0eb0\u0f40-\u0f6c\u1000-\u102a\u1780-\u17b3\u3005-\u3007\u3041-\u30ff"
    "\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
SPACELESS_LETTER = re.compile(f"[{_SPACELESS}]")
FIRST_SPACELESS = re.compile(rf"(?<![{_SPACELESS}])[{_SPACELESS}]")
WORD = re.compile(rf"[{_SPACELESS}]{{1,2}}|[^\W{_SPACELESS}]+")


def split_words(text: str) -> list[str]:
    """The case-folded words of a text; in spaceless scripts each pair of letters is one.

    "Don't go, 東京都!" -> ["don", "t", "go", "東京", "都"]
    """
    return WORD.findall(text.casefold())


def ngrams(words: Sequence[str], order: int) -> list[tuple[str, ...]]:
    """All runs of `order` words, in order: (["a", "b", "c"], 2) -> [("a", "b"), ("b", "c")]."""
    return list(zip(*(words[start:] for start in range(order)), strict=False))
