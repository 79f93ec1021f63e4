"""Spaces, punctuation and small words around what was removed from a text.

A rule that removes something leaves a mark; all marks of a text are then closed at once, so that
no rule has to know about its neighbours: "Read: LINK (via NAME), it is great!" -> "Read, it is
great!"
"""

import re

from tweetgen.text.lenient import LINK_MARK

NAME_MARK = LINK_MARK + "\1"  # begins like the other: one search for a constant finds both

_BETWEEN = r"(?:(?:and|or|y|et|und|[Vv]ia|by|with|w/|from|for|at|to|of|on|in) *+)?"
# Marks with nothing but separators between them are one gap: "NAME, NAME and NAME"
GAPS = re.compile(rf"(\x00\x01?(?:[ ,;&+/|•·]*+{_BETWEEN}\x00\x01?)*+)")

# Words that make no sense without the name after them: "great talk by", "so true! cc:", "me and"
_PREPOSITIONS = """
via by with w/ from to at of for on in and or & + plus per featuring feat feat. ft ft. cc cc. h/t ht
c/o re
de con por para y en sobre avec par pour et von mit und
"""
PREPOSITIONS = frozenset(_PREPOSITIONS.split())
BEFORE_PREPOSITION = frozenset(["according", "due", "because", "along", "together", "instead"])
_ARTICLES = "the a an my our your his her their el la los las un una le les des"
ARTICLES = frozenset(_ARTICLES.split())
CONJUNCTIONS = frozenset(("and", "or", "&", "+"))
PLACES = frozenset(("at", "of", "on", "in", "to"))  # "a talk at NAME, Ann Lee will ..."
BEFORE_LINK = frozenset(("via", "by", "from", "at", "and", "or", "&", "@", "w/"))  # "register at"
# What shows that no noun follows the name: "thanks to the NAME for ...", "... at the NAME!"
NO_NOUN = re.compile(
    r"\Z|[\s.,;:!?…)\]\"”#&+]|(?:and|or|for|at|in|on|to|of|with|by|from|as|who|that|is|are|was|were"
    r"|will|can|could|would|should|must|has|have|had|did|does|[a-z]{1,20}ed)\b|w/",
    re.IGNORECASE,
)
VERB = re.compile(r"(?:is|was|are|were|has|have|will|can|said|says)\b")
CAPITAL = re.compile(r"(?!I\b)[A-Z]")  # a name goes on: "with NAME Schulz"
# "NAME, Bob and ...", "NAME and I", "NAME & my dog"; not "NAME and went"
NEXT_IN_LIST = re.compile(
    r"(?:, |(?:and|&|y|et|und) )"
    r"(?=[A-Z]|(?:my|your|his|her|our|their|the|all|others?|more|many|I)\b)"
)
STARTS_OF_LIST = frozenset(",a&yeu")
POSSESSIVE = re.compile(r"['’]s(?!\w) *")  # "NAME's dog"

# What pointed at something that is gone: "Read more:", "Photos ->", "Title |", "Hi,"
POINTER = re.compile(
    r"(?: *(?:(?<=[\w\"”’')\]…!?.])[:,;]"
    r"|(?<!\S)(?:[-–—|~»•·&+,;:(/\"“]|-{2,3}>?|->|=>|>{1,3})|→))+\Z"
)
POINTER_ENDS = frozenset(':,;-–—|~»•·&+(/"“>→')
POINTER_LENGTH = 12
SEPARATOR_AT_START = re.compile(r"\A(?:[-–—|~→»•·,;:.!?…]+|[)\]])(?=\s|\Z)\s*")  # "- Title"
EMOTICON = re.compile(r"[:;=]['’^-]?[)(\]\[dDpPoO3*/\\|]")  # ":)" is no punctuation
OPENING = frozenset("([{“‘«¿¡「『\n")
CLOSING = re.compile("[,.;:!?…)\\]}”’»%、。！？」』]+")
ONE_STOP = re.compile(r"[.,;:](?!\.)")
EMPTY_PAIRS = frozenset(("()", "[]", "{}", "“”", "‘’", "«»", '""', "''", "「」"))
OPENING_OF_PAIR = frozenset(pair[0] for pair in EMPTY_PAIRS)
SPACELESS = re.compile(
    "[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3001-\u30ff\u3400-\u9fff\uff01-\uffee]"
)


def close_gaps(text: str) -> str:
    """The text without marks, as its author might have written it without what they stand for."""
    if text.find(LINK_MARK) == len(text) - 1:  # one link, at the end: half of all
        left = text[:-1].rstrip()
        if left[-1:] in (".", "!", "?") or left[-5:].isalpha():
            return left
    pieces = GAPS.split(text)  # text, gap, text, ..., gap, text
    kept = [pieces[0]]
    for gap, after in zip(pieces[1::2], pieces[2::2], strict=True):
        kept[-1:] = _closed(kept[-1], after, NAME_MARK in gap)
    return "".join(kept)


def _closed(before: str, after: str, is_name: bool) -> tuple[str, str]:
    """Both sides of a gap, without words and signs for what is gone, and with a space between."""
    left, right = before.rstrip(" "), after.lstrip(" ")
    is_glued = left == before and right == after
    if right[:1] in ("'", "’") and (possessive := POSSESSIVE.match(right)):
        right = right[possessive.end() :]
    elif is_name:
        left, right = _without_words_for_name(left, right)
    elif (not right or right[0] in "\n#") and not left[-5:].isalpha():
        left = _without_last_word(left, BEFORE_LINK)
    if left[-1:] in OPENING_OF_PAIR and left[-1:] + right.lstrip(".,;:!?")[:1] in EMPTY_PAIRS:
        left, right = left[:-1].rstrip(" "), right.lstrip(".,;:!?")[1:].lstrip(" ")
    if not right or right[0] == "\n":
        text = left.rstrip()
        return without_pointer(text) + left[len(text) :], right
    if not left:
        return left, right if EMOTICON.match(right) else SEPARATOR_AT_START.sub("", right)
    if is_glued and SPACELESS.match(left[-1]) and SPACELESS.match(right):
        return left, right
    return _with_punctuation(left, right, after[:1] == " ")


def without_pointer(left: str) -> str:
    """The end of a text without what pointed at something that is gone: "Read: ->" -> "Read"."""
    if left[-1:] not in POINTER_ENDS:
        return left
    pointer = POINTER.search(left, max(len(left) - POINTER_LENGTH, 0))
    return left[: pointer.start()].rstrip(" ") if pointer else left


def _last_word(text: str) -> str:
    word = text[max(text.rfind(" "), text.rfind("\n")) + 1 :]
    return word.lstrip("([{“‘\"'").rstrip(":").lower()


def _without_last_word(text: str, words: frozenset[str]) -> str:
    stripped = text.rstrip(": \n")
    word = _last_word(stripped)
    return stripped[: -len(word)].rstrip(" ") if word in words else text


def _without_words_for_name(left: str, right: str) -> tuple[str, str]:
    """Both sides of a removed name, without the words that only led to it or away from it."""
    no_noun = NO_NOUN.match(right)
    if no_noun:
        left = _without_last_word(left, ARTICLES)
    word = _last_word(left)
    listed = NEXT_IN_LIST.match(right) if right[:1] in STARTS_OF_LIST else None
    if listed and (right[0] != "," or word in PREPOSITIONS - PLACES):
        return left, right[listed.end() :]
    if (left[-1:] == "," or word in CONJUNCTIONS) and VERB.match(right):
        return left.removesuffix(","), right
    if left[-1:] == "/" and left[-2:-1] not in ("", " ", "w", "W"):  # "#veteran/NAME"
        return left[:-1], right
    if word in PREPOSITIONS and (no_noun or not CAPITAL.match(right)):
        left = _without_last_word(_without_last_word(left, PREPOSITIONS), BEFORE_PREPOSITION)
    elif word in ("a", "an") and not no_noun:  # "a NAME employee"
        left = left[: 1 - len(word) or None] + ("n" if right[0] in "aeioAEIO" else "")
    return left, right


def _with_punctuation(left: str, right: str, is_apart: bool) -> tuple[str, str]:
    """Both sides with one space between them, or with the punctuation of one of them."""
    if left[-1] in OPENING or (left[-1] in "\"'" and not left[-2:-1].strip()):
        return left, right.lstrip(",;: ")
    closing = CLOSING.match(right)
    if not closing or EMOTICON.match(right) or (is_apart and right[closing.end() :][:1].strip()):
        return left + " ", right
    left = left.rstrip(",;:-–— ")
    return left, right[1:] if left[-1:] in ".!?…" and ONE_STOP.match(right) else right
