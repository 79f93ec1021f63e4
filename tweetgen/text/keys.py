"""What two copies of a tweet have in common: a canonical key and its 64-bit hash."""

import re
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from tweetgen.text.entities import MARKS
from tweetgen.text.html import unescape
from tweetgen.text.lenient import NAME, RETWEET_MARK, mark_links

NOT_IN_KEY = re.compile(rf"[^\w{MARKS}]+")
NOT_IN_ASCII_KEY = bytes(code for code in range(128) if not chr(code).isalnum())


def canonical_key(text: str) -> str:
    """The words of a tweet in small letters, without spaces, links, @names and "RT".

    "RT @a: So &amp; SO! http://x.com/1" -> "soso". A text without words is its own key.
    """
    key = unescape(text) if "&" in text else text
    if "@" in key or key[:2] == "RT":
        key = NAME.sub("", RETWEET_MARK.sub("", key))
    if "/" in key:
        key = mark_links(key)
    # First what is quick to remove: the pattern takes four times as long for a text with spaces.
    code = key.casefold().encode("utf-8", "surrogatepass").translate(None, NOT_IN_ASCII_KEY)
    key = code.decode("utf-8", "surrogatepass")
    if not key.isascii():
        key = NOT_IN_KEY.sub("", key)
    return key or text


def hash_keys(keys: Iterable[str]) -> npt.NDArray[np.int64]:
    """A 64-bit hash (BLAKE2b) of each key, the same on every machine; int64 (keys,).

    The chance that any two of a million different keys share one is 3 in 100 million.
    """
    digests = [blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8) for key in keys]
    hashes = np.frombuffer(b"".join(digest.digest() for digest in digests), dtype=">i8")
    return hashes.astype(np.int64)
