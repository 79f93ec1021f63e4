"""Files of words to look for: --exclude, --forbid, --require."""

import re
import unicodedata
from pathlib import Path
from typing import Any

from tweetgen.errors import TweetgenError
from tweetgen.text.entities import MARKS
from tweetgen.text.lines import read_lines
from tweetgen.text.words import SPACELESS_LETTER

BACKWARD_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]")
# What an entry's character matches: any white space, either apostrophe, itself.
SAME_CHARACTER = {" ": r"\s+", "'": "['’]", "’": "['’]"}
END = ""  # the key of a tree that says: an entry may end here


def load_wordlist(path: str | Path) -> re.Pattern[str]:
    """A pattern that is found in a text if one of the file's entries is, in any letter case.

    One entry a line: /colou?r/ is a regular expression, everything else a whole word or phrase
    ("cat" is not in "category", "#ad" is in "an #ad!").

    Raises:
        TweetgenError: the file cannot be read or is empty, or an expression is wrong.
    """
    lines = enumerate(read_lines(path), start=1)
    entries = [(number, entry) for number, line in lines if (entry := line.strip())]
    if not entries:
        raise TweetgenError(
            f"{path} has no entries. Write one word, phrase or /expression/ a line."
        )
    expressions = [
        _checked(entry[1:-1], f"{path}, line {number}")
        for number, entry in entries
        if _is_expression(entry)
    ]
    phrases = [entry for _, entry in entries if not _is_expression(entry)]
    if phrases:
        expressions.append(_any_of(phrases))
    return re.compile("|".join(f"(?:{expression})" for expression in expressions), re.IGNORECASE)


def _is_expression(entry: str) -> bool:
    return len(entry) > 2 and entry[0] == entry[-1] == "/"


def _checked(expression: str, place: str) -> str:
    """The expression, if it can be joined with others."""
    try:
        pattern = re.compile(expression, re.IGNORECASE)
        re.compile(f"(?:{expression})")  # "(?x)" must stand first
    except re.error as error:
        raise TweetgenError(f"{place}: not a regular expression ({error}). Correct it.") from error
    if BACKWARD_REFERENCE.search(expression):
        raise TweetgenError(f"{place}: \\1 to \\9 cannot be used here. Write the word out.")
    if pattern.groupindex:
        raise TweetgenError(f"{place}: named groups cannot be used here. Write (?:...) instead.")
    if pattern.search(""):
        raise TweetgenError(f"{place}: /{expression}/ is found in every text. Narrow it.")
    return expression


def _any_of(phrases: list[str]) -> str:
    """An expression for all phrases: a tree of their beginnings for each kind of border.

    A plain alternation of 1,500 words tries them all at every word of a text: 40 times slower.
    """
    word = r"\w" if "".join(phrases).isascii() else rf"[\w{MARKS}]"
    trees: dict[tuple[str, str], dict[str, Any]] = {}
    for phrase in phrases:
        text = " ".join(unicodedata.normalize("NFC", phrase).lower().split())
        borders = (
            rf"(?<!{word})" if _has_border(text[0], word) else "",
            rf"(?!{word})" if _has_border(text[-1], word) else "",
        )
        branch = trees.setdefault(borders, {})
        for character in text:
            branch = branch.setdefault(SAME_CHARACTER.get(character, re.escape(character)), {})
        branch[END] = {}
    return "|".join(
        f"{before}(?:{_expression(tree)}){after}" for (before, after), tree in trees.items()
    )


def _has_border(character: str, word: str) -> bool:
    """Whether a word can begin or end there; scripts without spaces have no such borders."""
    return bool(re.match(word, character)) and not SPACELESS_LETTER.match(character)


def _expression(tree: dict[str, Any]) -> str:
    prefix = ""
    while len(tree) == 1 and END not in tree:
        [(token, tree)] = tree.items()
        prefix += token
    if not tree or list(tree) == [END]:
        return prefix
    branches = [token + _expression(rest) for token, rest in tree.items() if token != END]
    if END in tree:
        branches.append("")
    return f"{prefix}(?:{'|'.join(branches)})"
