"""What research sets write in place of links and names: HTTPURL, {link}, <user>, [USER]."""

import re
from collections.abc import Sequence

LINK = "https://t.co/x"  # what a placeholder becomes, so that the rules for links see to it
NAME = "@user"
SIGNS = ("<", "[", "{", "URL", "_U")  # a text without these has no placeholder
_IN_BRACKETS = r"(?:[<\[{{]{{1,2}}|__|\$) ?@?(?i:{}) ?(?:[>\]}}]{{1,2}}|__|\$)"
LINK_PLACEHOLDER = re.compile(
    r"HTTPURL|\bURL_\d+\b|" + _IN_BRACKETS.format(r"(?:HTTP)?URLS?(?:_?\d+)?|LINK|HTTPS?|WEBSITE")
)
NAME_PLACEHOLDER = re.compile(
    "AT_USER|@?" + _IN_BRACKETS.format(r"(?:USER|USER_?NAME|MENTION|HANDLE)S?(?:_?\d+)?")
)
NAME_IN_BRACES = re.compile(r"\{@[^@{}\n]{1,50}@\}")  # "{@Some Name@}"

# Words that are placeholders in some files and words in others. In a file where links were
# replaced there are none left.
BARE_LINK = re.compile(r"(?<![\w@#/.-])(?:URLs?|url|https?|HTTPS?|LINK)(?![\w/-]|:/|\.\w)")
BARE_NAME = re.compile(r"(?<![\w@#/.-])(?:USER|MENTION|USERNAME)(?![\w/-])")
REAL_LINK = re.compile(r"https?://\w")
REAL_NAME = re.compile(r"(?<!\w)@(?!(?i:user|mention|username)\b)\w")
SMALLEST_SHARE = 0.01  # of the texts
FEWEST = 2


def bare_placeholders(texts: Sequence[str]) -> frozenset[str]:
    """What the bare words "URL", "http" and "USER" stand for in a file, by a sample of its texts.

    Returns {"link"} where such words stand for links, {"name"} where for names, both or neither.
    """
    fewest = max(FEWEST, SMALLEST_SHARE * len(texts))

    def stands_for_another(bare: re.Pattern[str], real: re.Pattern[str]) -> bool:
        num_bare, num_real = (sum(map(bool, map(p.search, texts))) for p in (bare, real))
        return num_bare >= fewest and num_real * 20 < num_bare

    kinds = {"link": (BARE_LINK, REAL_LINK), "name": (BARE_NAME, REAL_NAME)}
    return frozenset(kind for kind, patterns in kinds.items() if stands_for_another(*patterns))


def as_entities(text: str, *, urls: bool, names: bool, bare: frozenset[str]) -> str:
    """The text with a link or an @name for each placeholder, so that the rules for those apply.

    `bare` says what bare words stand for in the tweet's file, from `bare_placeholders`.
    """
    if urls:
        text = LINK_PLACEHOLDER.sub(LINK, text)
        text = BARE_LINK.sub(LINK, text) if "link" in bare else text
    if names:
        text = NAME_PLACEHOLDER.sub(NAME, NAME_IN_BRACES.sub(NAME, text))
        text = BARE_NAME.sub(NAME, text) if "name" in bare else text
    return text
