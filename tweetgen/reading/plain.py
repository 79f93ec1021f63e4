"""Text that is no table and no JSON: a tweet a line, or tweets between the marks of older tools."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from tweetgen.errors import TweetgenError
from tweetgen.reading.encoding import FILLING, MAX_RECORD

# "<|startoftext|>", "<|endoftext|>", "<s>", "</s>", "[BOS]", "<eos>": between the texts of a file
# that an older tool was trained on
MARK = re.compile(r"<\|\w+\|>|</?s>|<[be]os>|\[[BE]OS\]", re.I)
TOKEN_AT_EDGE = re.compile(r"^<\|\w+\|>|<\|\w+\|>$")
LINK = re.compile(r"https?://\S+")
# Lines that are no sentence, with what they are; after the first sign comes anything.
STRUCTURES = {
    "XML or HTML": re.compile(r"\s*</?[?!]?[A-Za-z][\w:.-]*(?:\s[^<>]*)?/?>"),
    "JSON or Python": re.compile(
        r"\s*(?:\{\s*[\"'}]|\[\s*[\[{\"']|[\"'][\w$ .-]{1,40}[\"']\s*:|[\]}],?\s*$)"
    ),
    "program code": re.compile(
        r"\s*(?:(?:var|let|const)\s+\w+\s*[=:]|(?:function|def|class)\s+\w+\s*[({:]"
        r"|(?:import|export)\s.*['\"{*]|[\w.$]{2,}\([^)]*\);?\s*$"
        r"|(?:INSERT INTO|CREATE TABLE|COPY|VALUES)\b|\([^()]{0,40},\s*')"
    ),
    "a numbered list": re.compile(r"\s*\d+[.)]\s"),
    "rows in quotes": re.compile(r"\s*([\"'])(?:(?!\1).)*\1\s*[,;|\t]|\s*\".*\"\s*[;,]+\s*$"),
}
SURE = ("XML or HTML", "JSON or Python", "program code")  # one line is enough
SIGN = re.compile(r"[:;|=(){}\[\]<>\"\\/*_~^+-]")  # what skeletons are made of; not , . ! ? ' @ #
MAX_SIGNS = 3
MAX_SKELETONS = 2  # as of "- id: 1" and "  text: hello"
MIN_LINES = 5  # fewer prove nothing
SKELETON_SHARE = 0.9
STRUCTURE_SHARE = 0.5


def line_blocks(pieces: Iterable[str], name: str) -> Iterator[str]:
    """The text cut anew, so that each block but the last ends where a line ends."""
    rest = ""
    for piece in pieces:
        if not rest and piece.endswith("\n"):  # as nearly always: nothing to copy
            yield piece
            continue
        end = piece.rfind("\n") + 1
        if end:
            yield rest + piece[:end]
            rest = ""
        rest += piece[end:]
        if len(rest) > MAX_RECORD:
            raise TweetgenError(
                f"{name} has a row of more than 16 MiB. Check it, or give --format."
            )
    if rest:
        yield rest


def has_marks(text: str) -> bool:
    """Whether marks fill lines, or as many lines as a tenth begin or end with one."""
    num_marks = sum(1 for _ in MARK.finditer(text))
    if not num_marks or re.search(rf'"(?:{MARK.pattern})', text):  # in the cells of a table
        return False
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    num_at_edges = sum(TOKEN_AT_EDGE.search(line) is not None for line in lines)
    is_usual = num_at_edges >= len(lines) / 10 or num_marks >= len(lines) / 2
    num_alone = sum(MARK.fullmatch(line) is not None for line in lines)
    return num_alone > 1 or (num_marks > 1 and is_usual) or bool(MARK.match(text.lstrip()))


def marked_texts(blocks: Iterable[str]) -> Iterator[list[str]]:
    """The texts between marks, of one line or several."""
    rest = ""
    for block in blocks:
        *pieces, rest = MARK.split(rest + block)
        yield [piece.strip() for piece in pieces if piece.strip()]
        if len(rest) > MAX_RECORD:
            raise TweetgenError(
                "a text of more than 16 MiB has no mark at its end. Check the file."
            )
    if rest := rest.strip(FILLING + " \r\n\t"):
        yield [rest]


def lines_of(blocks: Iterable[str]) -> Iterator[list[str]]:
    """The lines with anything in them."""
    for block in blocks:
        lines = block.rstrip(FILLING).split("\n")
        yield [line.rstrip("\r") for line in lines if line.strip()]


def looks_like(what: str, text: str) -> bool:
    """Whether most lines of a text are plainly of some kind of `STRUCTURES`."""
    lines = [line for line in text.split("\n") if line.strip()]
    num_alike = sum(STRUCTURES[what].match(line) is not None for line in lines)
    return num_alike > STRUCTURE_SHARE * len(lines) and (num_alike > 1 or what in SURE)


def refuse_structure(text: str, name: str) -> None:
    """Raise TweetgenError if most lines begin like code or data, or nearly all by one skeleton."""
    lines = [line for line in text.split("\n") if line.strip()]
    kind = next((kind for kind in STRUCTURES if looks_like(kind, text)), "")
    problem = f"looks like {kind}, not like lines of text" if kind else ""
    for num_signs in range(1, MAX_SIGNS + 1):
        skeletons = Counter(_skeleton(line, num_signs) for line in lines)
        del skeletons[""]
        num_alike = sum(number for _, number in skeletons.most_common(MAX_SKELETONS))
        if len(lines) >= MIN_LINES and num_alike >= SKELETON_SHARE * len(lines):
            problem = problem or f"has lines that all begin like {lines[0][:40]!r}"
    if problem:
        raise TweetgenError(
            f"{name} {problem}. Convert it to CSV or JSON with a column 'text', or, if each line "
            "is a tweet as it is, give --format txt."
        )


def _skeleton(line: str, num_signs: int) -> str:
    """`[2020-01-02 10:00] ann: hi` -> `[0-0-` for three signs; "" if there are fewer."""
    start = LINK.sub("", line[:120])
    signs = [match.end() for match in SIGN.finditer(start[:60])]
    if len(signs) < num_signs:
        return ""
    skeleton = re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", start[: signs[num_signs - 1]]))
    return "" if skeleton.count(" ") > 4 or "@" in skeleton or "#" in skeleton else skeleton
