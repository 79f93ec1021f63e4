"""HTML in a text: entities such as &amp; and the tags of pages and of Mastodon."""

import html
import re
from html.entities import html5

MOST_PASSES = 8  # of unescaping; real tweets were escaped up to three times
NESTED_AMPERSAND = re.compile(r"&(?:amp;|AMP;|#0*38;|#[xX]0*26;)+")  # &amp;amp;lt; -> &lt;
ENTITY = re.compile(
    r"&(?:#[0-9]{1,7};|#[xX][0-9A-Fa-f]{1,6};|#[0-9]{2,5}(?![0-9])|[A-Za-z][A-Za-z0-9]{1,31};"
    r"|(?:amp|lt|gt|quot|nbsp|apos)(?![A-Za-z0-9=]))"  # "a &lt b", not "x?a=1&lt=2"
)
# "<br />", "</p>"; not "a <3 b", "x < y", "<url>"
_ATTRIBUTES = r"(?:\s[^<>]{0,2000})?/?>"
IS_HTML = re.compile(r"</[a-z]|<br\b|<[a-z]{1,10} [a-z-]+=", re.IGNORECASE)  # not "use <b>"
BREAK = re.compile(rf"<(?:br|/?(?:p|div|li|ul|ol|h[1-6]|blockquote)){_ATTRIBUTES}", re.IGNORECASE)
TAG = re.compile(
    rf"</?(?:a|span|b|i|em|strong|u|del|small|sub|sup|code|pre|img|font){_ATTRIBUTES}",
    re.IGNORECASE,
)


def unescape(text: str) -> str:
    """The text with HTML entities replaced, however often it was escaped: &amp;lt;3 -> <3."""
    for _ in range(MOST_PASSES):
        before = text
        text = ENTITY.sub(_entity, NESTED_AMPERSAND.sub("&", text))
        if text == before or "&" not in text:
            break
    return text


def _entity(match: re.Match[str]) -> str:
    name = match[0][1:].rstrip(";")
    return html.unescape(f"&{name};") if name[0] == "#" else html5.get(f"{name};", match[0])


def without_tags(text: str) -> str:
    """The text without HTML tags, a line break for each paragraph and <br>.

    '<p>see <a href="https://x.com/a"><span>https://</span>x.com/a</a><br>ok</p>' ->
    "\\nsee https://x.com/a\\nok\\n"
    """
    return TAG.sub("", BREAK.sub("\n", text)) if IS_HTML.search(text) else text
