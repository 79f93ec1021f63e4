"""Links and @names as people and programs leave them: more than X itself would link.

Cleaning removes them and canonical keys leave them out.
"""

import re

from tweetgen.text.entities import LATIN, find_urls, replace_spans

LINK_MARK = "\0"  # in place of a removed link; no tweet holds a control character

_IN_LINK = rf"A-Za-z0-9\u0400-\u04ff{LATIN}/_=#&%+~@$^\-"
# "https://t.co/x1" (the slug alone), "http://x.com/a_(b)?c=d" (no final . , : ' or lone bracket),
# "http…"
LINK = re.compile(
    r"https?(?:://(?:t\.co/[A-Za-z0-9]*+(?:\?[\w=&.%#-]*+)?…?|[\w./-]*+…"
    rf"|(?=[{_IN_LINK}])(?:[{_IN_LINK}]++|[.,;:!?*']++(?=[{_IN_LINK}])|\([{_IN_LINK}.,;:!?*']*+\))*+)"
    r"|:?/?…)"
)
GLUED_LINK = re.compile("http(?<=[A-Za-z0-9]http)s?://")  # "t.co/x1https://t.co/x2"
LINK_START = re.compile("https?://", re.IGNORECASE)  # "http:// x.com"
# "wordpic.twitter.com/x1" -> "word"
PICTURE = re.compile(r"pic\.(?:twitter|x)\.com(?:/(?:(?!pic\.)\w)*+)?")
DOMAIN_WITH_PATH = re.compile(r"\.[A-Za-z]{2,}(?::\d+)?/")  # "bit.ly/x"; not "and/or", "x.com"

_NAME = rf"[A-Za-z0-9_]++(?![@＠{LATIN}]|://)"
NO_TIME = r"(?!\d{1,2}(?:[AaPp][Mm]|[Hh])?(?!\w))"  # "@7pm", "@9:30"
# "@name", "@name/list", "@name@mastodon.example"; not "me@mail.com", "@_@", "f!@k"
_SERVER = r"(?:(?<=\w)@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)++(?![@＠]))"
AFTER_AT = rf"{NO_TIME}(?:{_NAME}|[A-Za-z0-9_]++{_SERVER})"
NAME = re.compile(
    rf"@(?<![A-Za-z0-9_#$%@＠]@)(?:(?<![!*&]@)|(?=\w{{6}})){AFTER_AT}(?:/[A-Za-z][\w-]*+)?"
)
RETWEET_MARK = re.compile(r"(?:[RM]T|\b[Rr][Tt])(?<!\w..)[\s:]*+[\"“]?@\w++:?\s*+")  # "RT @a: "


def mark_links(text: str) -> str:
    """The text with LINK_MARK for each link: with protocol, picture, domain with a path."""
    if "http" in text:
        if text.count("http") > 1:
            text = GLUED_LINK.sub(r" \g<0>", text)
        text = LINK.sub(LINK_MARK, text)
    if "/" not in text:
        return text
    if "://" in text:  # upper case, or a host name in Japanese
        text = LINK_START.sub(LINK_MARK, replace_spans(text, find_urls(text), _mark))
    if "pic." in text:
        text = PICTURE.sub(LINK_MARK, text)
    if DOMAIN_WITH_PATH.search(text):
        links = [span for span in find_urls(text) if "/" in text[slice(*span)]]
        text = replace_spans(text, links, _mark)
    return text


def _mark(_link: str) -> str:
    return LINK_MARK
