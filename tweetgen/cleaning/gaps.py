"""Closing the gaps that removed links and names leave in a text.

A rule that removes something puts a mark in its place. All marks of a text are then closed at once:
"Read: LINK (via NAME), it is great!" -> "Read, it is great!"
"""

import re

# The marks: no cleaned text holds a control character. Both begin alike, so that one search for a
# constant finds them; four times faster than a class of two characters.
GAP = "\0"
NAME_GAP = "\0\1"

_BETWEEN = r"(?:(?:and|or|y|et|und|[Vv]ia|by|with|w/|from|for|at|to|of|on|in) *+)?"
# Marks with nothing but separators between them are one gap: "NAME, NAME and NAME"
GAPS = re.compile(rf"(\x00\x01?(?:[ ,&+/|•·]*+{_BETWEEN}\x00\x01?)*+)")

# Words that make no sense without the name after them: "great talk by", "so true! cc:", "me and"
_PREPOSITIONS = """
via by with w/ from to at of for on in and or & + plus per featuring feat ft cc h/t ht c/o re
de con por para y en sobre avec par pour et von mit und
"""
PREPOSITIONS = frozenset(_PREPOSITIONS.split())
PLACES = frozenset(("at", "of", "on", "in", "to"))  # "a talk at NAME, Ann Lee will ..."
CONJUNCTIONS = frozenset(("and", "or", "&", "+"))
BEFORE_PREPOSITION = frozenset(("according", "due", "because", "along", "together", "instead"))
BEFORE_LINK = frozenset(("via", "by", "from", "at", "and", "or", "&", "@", "w/"))  # "register at"
_ARTICLES = "the a an my our your his her their el la los las un una le les des"
ARTICLES = frozenset(_ARTICLES.split())
DANGLING = PREPOSITIONS | ARTICLES
# What shows that no noun follows the name: "thanks to the NAME for ...", "... at the NAME!"
NO_NOUN = re.compile(
    r"\Z|[\s.,;:!?…)\]\"”#]|(?:and|or|for|at|in|on|to|of|with|by|from|as|who|that|is|are|was|were"
    r"|will|can|could|would|should|must|has|have|had|did|does|[a-z]{1,20}ed)\b|[&+]|w/",
    re.IGNORECASE,
)
VERB = re.compile(r"(?:is|was|are|were|has|have|will|can|said|says)\b")
CAPITAL = re.compile(r"(?!I\b)[A-Z]")  # a name goes on: "with NAME Schulz"
NEXT_IN_LIST = (
    re.compile(  # "NAME, Bob and ...", "NAME and I", "NAME & my dog"; not "NAME and went"
        r"(?:, |(?:and|&|y|et|und) )"
        r"(?=[A-Z]|(?:my|your|his|her|our|their|the|all|others?|more|many|I)\b)"
    )
)
LIST_STARTS = frozenset(",a&yeu")
POSSESSIVE = re.compile(r"['’]s(?!\w)")  # "NAME's dog"

# What pointed at something that is gone: "Read more:", "Photos ->", "Title |", "Hi,"
POINTER = re.compile(
    r"(?:(?<=[\w\"”’')\]…!?.])[:,;]|(?<!\S)(?:[-–—|~»•·&+,;:(/\"“]|-{2,3}>?|->|=>|>{1,3})|→)\Z"
)
POINTER_ENDS = frozenset(':,;-–—|~»•·&+(/"“>→')
POINTER_LENGTH = 4
MOST_POINTERS = 3
SEPARATOR_AT_START = re.compile(r"(?:[-–—|~→»•·,;:.!?…]+|[)\]])(?=\s|\Z)\s*")  # "- Title"
EMOTICON = re.compile(r"[:;=]['’^-]?[)(\]\[dDpPoO3*/\\|]")  # ":)" is no punctuation
SPACED_COMMA = re.compile(r"[,.](?=\s|\Z)")  # "hi NAME , so": the space stood before the name

SENTENCE_ENDS = frozenset(".!?")
CLOSING = frozenset(",.;:!?…)]}”’»%、。！？」』")
OPENING = frozenset("([{“‘«¿¡「『")
PAIRS = frozenset(("()", "[]", "{}", "“”", "‘’", "«»", '""', "''", "「」"))
SPACELESS = re.compile(
    "[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3001-\u30ff\u3400-\u9fff\uff01-\uffee]"
)


def close_gaps(text: str) -> str:
    """The text without marks, as its author might have written it without what they stand for."""
    if text.find(GAP) == len(text) - 1:  # one link, at the end: half of all
        left = text[:-1].rstrip()
        if left[-1:] in SENTENCE_ENDS or left[-5:].isalpha():
            return left
        return _join(left, "", name_gone=False)[0]
    pieces = GAPS.split(text)  # text, gap, text, ..., gap, text
    kept = [pieces[0]]
    for gap, after in zip(pieces[1::2], pieces[2::2], strict=True):
        kept[-1], after = _join(kept[-1], after, NAME_GAP in gap)
        kept.append(after)
    return "".join(kept)


def _join(before: str, after: str, name_gone: bool) -> tuple[str, str]:
    """Both sides of a gap, mended, with the space that belongs between them after the first."""
    left, right = before.rstrip(" "), after.lstrip(" ")
    attached = left == before and right == after
    possessive = POSSESSIVE.match(right) if right[:1] in ("'", "’") else None
    if possessive:
        right = right[possessive.end() :].lstrip(" ")
    if name_gone:
        left, right = _without_dangling_words(left, right, possessive is not None)
    if left and right and left[-1] + right.lstrip(".,;:!?")[:1] in PAIRS:
        left, right = left[:-1].rstrip(" "), right.lstrip(".,;:!?")[1:]
        after = right
        right = right.lstrip(" ")
    if not name_gone and (not right or right[0] in "\n#") and not left[-5:].isalpha():
        left = _without_last_word(left, BEFORE_LINK)
    if not right or right[0] == "\n":
        text = left.rstrip()
        return without_pointer(text) + left[len(text) :], right
    if not left:
        separator = None if EMOTICON.match(right) else SEPARATOR_AT_START.match(right)
        return left, right[separator.end() :] if separator else right
    if left[-1] in OPENING or left[-1] == "\n" or (left[-1] in "\"'" and not left[-2:-1].strip()):
        return left, right.lstrip(",;:. ") if right[0] in ",;:" else right
    closing = right[0] in CLOSING and not EMOTICON.match(right)
    if closing and (after[:1] != " " or SPACED_COMMA.match(right)):
        return _with_closing(left, right)
    if attached and SPACELESS.match(left[-1]) and SPACELESS.match(right):
        return left, right
    return left + " ", right


def _with_closing(left: str, right: str) -> tuple[str, str]:
    """Both sides of a gap after which a comma, full stop or closing bracket follows."""
    if left[-1] in ",;:-–—":
        left = left[:-1].rstrip(" ")
    elif left[-1] in ".!?…" and right[0] in ".,;:":
        right = right[1:]
    return left, right


def _without_dangling_words(left: str, right: str, owned: bool) -> tuple[str, str]:
    """Both sides of a gap where an @name stood, without the words that only led to the name.

    `owned`: "NAME's" stood there, so a noun follows.
    """
    word = _last_word(left)
    key = word.rstrip(":.").lower()
    if key not in DANGLING and right[:1] not in LIST_STARTS and left[-1:] not in ("/", ","):
        return left, right  # most
    slash = left[-1:] == "/" and left[-2:-1] not in ("", " ", "w")  # "#veteran/NAME"
    if slash or (left[-1:] == "," and VERB.match(right)):  # "Ann Lee, NAME is"
        left = left[:-1]
    elif key in ARTICLES:
        left, key = _without_article(left, word, right)
    listed = NEXT_IN_LIST.match(right) if right[:1] in LIST_STARTS else None
    if listed and (listed[0] != ", " or (key in PREPOSITIONS and key not in PLACES)):
        return left, right[listed.end() :]
    noun_follows = owned or (CAPITAL.match(right) and not NO_NOUN.match(right))
    verb_follows = key in CONJUNCTIONS and VERB.match(right)
    if key in PREPOSITIONS and not noun_follows and not verb_follows:
        left = left[: -len(_last_word(left))].rstrip(" ")
        left = _without_last_word(left, BEFORE_PREPOSITION)
    return left, right


def _without_article(left: str, word: str, right: str) -> tuple[str, str]:
    """The left side without the article it ends in, if no noun follows; and its last word."""
    if NO_NOUN.match(right):
        left = left[: -len(word)].rstrip(" ")
        return left, _last_word(left).rstrip(":.").lower()
    if word in ("a", "an"):
        left = left.removesuffix(word) + ("an" if right[0] in "aeioAEIO" else "a")
    return left, ""


def _without_last_word(text: str, words: frozenset[str]) -> str:
    stripped = text.rstrip()
    word = _last_word(stripped)
    if word.lower() not in words:
        return text
    return stripped[: -len(word)].rstrip(" ") + text[len(stripped) :]


def _last_word(text: str) -> str:
    return text[max(text.rfind(" "), text.rfind("\n")) + 1 :].lstrip("([{“‘\"'")


def without_pointer(left: str) -> str:
    """The end of a text without what pointed at something that is gone: "Read: ->" -> "Read"."""
    if left[-1:] not in POINTER_ENDS:  # most
        return left
    for _ in range(MOST_POINTERS):
        pointer = POINTER.search(left, max(len(left) - POINTER_LENGTH, 0))
        if not pointer:
            break
        left = left[: pointer.start()].rstrip(" ")
    return left
