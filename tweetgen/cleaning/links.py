"""Links that a web page or a scraper shortened or broke, made whole before any rule sees them."""

import re

# Old web pages showed the middle of a link, hid the rest and put "…" after it; their text is
# "https://www. example.com/some/lo ng/path …" or "https://example.com/some/long/path …".
_HOST = r"(?:[\w-]{1,63}\.)+[A-Za-z]{2,}(?![\w@])"
_DOTS = r"(?:[ \xa0]*…)+"
BROKEN_LINK = re.compile(
    rf"https?:// ?(?:www\. ?)?(?<= ){_HOST}(?:[/:?#][^\s…]*)?"  # "https:// x.com/a"
    rf"(?:(?: [^\s…]+)?(?: (?=\S*[/=_\d-])[^\s…]+){{0,3}}{_DOTS})?"  # "b/c …"
)
# A link of at most 1,000 characters: without a bound "http://http://..." takes quadratic time.
SHORTENED_LINK = re.compile(
    r"(https?://[^\s…]{1,1000}+)(?:…?(?:[ \xa0]+…)+(?!\w)|[ \xa0]+\.\.\.\Z)"
)
# "example.com/some/lo…": what the page shows of a link
SHOWN_LINK = re.compile(rf"(?<![\w./@-])((?!t\.co/){_HOST}/[^\s…]*+)…")
PATH_WITH_DOTS = re.compile(r"/[^\s/…]*…")
PICTURE = re.compile(r"(pic\.twitter\.com/) (?=\w{10}(?!\w))")
BROKEN_PARTS = re.compile(r"[\s…]+")


def whole_links(text: str) -> str:
    """The text with its broken and shortened links in one piece, without the dots after them."""
    if ":// " in text or "www. " in text:
        text = BROKEN_LINK.sub(lambda match: BROKEN_PARTS.sub("", match[0]), text)
    if ".com/ " in text:
        text = PICTURE.sub(r"\1", text)
    if "…" in text or text.endswith("..."):
        text = SHORTENED_LINK.sub(r"\1", text)
        if PATH_WITH_DOTS.search(text):
            text = SHOWN_LINK.sub(r"\1", text)
    return text
