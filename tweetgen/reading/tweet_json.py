"""Where in values of JSON the tweets are, found by one search, and their texts."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from tweetgen.reading.columns import is_like_text, is_text_name, words

Path = tuple[str, ...]  # keys from a record to the object with the text; lists are passed through

ANY = "*"  # in a path: every key of an object that is keyed by ids or names
MAX_DEPTH = 40
ID = re.compile(r".*[0-9].*|.{16,}", re.S)  # a key that is no name: "-NxAbcdefgh", "u17"
HOLDERS = (dict, list)
X_KEYS = ("full_text", "text")  # of X's own objects, the better one first
LAST_KEYS = ("title", "caption", "commenttext", "value")  # where there is no other text at all
PIECE_KEYS = frozenset(("type", "text", "href", "url", "user_id", "document_id", "language"))
LONGER = ("extended_tweet", "note_tweet", "long_object", "noteTweet")  # hold the whole long text
# Keys of objects where there is more than a text to look at
NOT_PLAIN = frozenset(("full_text", *LONGER, "reblog", "reason", "object"))
# What hangs on a tweet and is another's: never the place where a file has its tweets
OF_OTHERS = re.compile(
    r"retweet|quoted|^quote$|^reblog$|^reply$|^parent$|^root$|^embed|^includes$|^entities$|^card$"
    r"|reply_to|referenced|contentMap|^(?:deleted|direct|dm|draft)|^likes?$|favou?rites|bookmarks"
)
FIXED = frozenset(LONGER).union(  # keys that are never ids
    words("""
        data tweets tweet posts post statuses status results items feed records replies comments
        hits values entries timeline threads archive pinned drafts deleted messages likes
    """)
)
# What X's streams send between tweets, and the answer to a search that found none
NOTICES = frozenset(
    words("""
        delete limit scrub_geo status_withheld user_withheld warning disconnect errors error meta
        info friends event control
    """)
)
KIND_KEYS = ("collection", "$type", "type", "kind", "verb", "objectType", "typename")
NO_KINDS = frozenset(("", "tweet", "post", "status", "note", "create"))


class Place(NamedTuple):
    """Where the tweets are: alternatives, the likeliest first, and what else was seen."""

    paths: tuple[Path, ...]
    key: str = ""  # of the text, where it has no usual name
    num_elsewhere: int = 0  # texts at places that are not read
    elsewhere: str = ""
    is_vague: bool = False  # no text under a usual name was seen


def find_place(values: Sequence[Any]) -> Place:
    """The place of the tweets in records: of the largest set of objects with a text at one path."""
    for is_text in (is_text_name, is_like_text, LAST_KEYS.__contains__):
        below = [
            (path, key)
            for value in values
            for path, found in reversed(list(_objects(value, None)))
            if (key := _text_key(found.tweet, is_text))
        ]
        if below:
            break
    else:
        return Place(((),), is_vague=True)
    keys = Counter(key for _, key in below)
    key = keys.most_common(1)[0][0] if is_text is not is_text_name else ""
    merged = _merged(Counter(path for path, _ in below))
    is_longer = {path: not set(LONGER).isdisjoint(path) for path in merged}
    ranked = sorted(merged, key=lambda path: (-merged[path], is_longer[path], len(path)))
    best = ranked[0]
    if len(values) > 1:  # each record is read at the first of these places that it has
        fewest = max(2, 0.1 * merged[best])
        return Place(tuple(path for path in ranked if merged[path] >= fewest) or (best,), key)
    others = [path for path in ranked if path[: len(best)] != best and not is_longer[path]]
    alike = _alike(best, others)
    others = [path for path in others if path not in alike]
    elsewhere = " and ".join(".".join(path) for path in others[:3])
    return Place((best, *alike), key, sum(merged[path] for path in others), elsewhere)


def _alike(path: Path, others: Iterable[Path]) -> list[Path]:
    """The places where objects of the same kind lie: GraphQL has single tweets and threads."""
    same_end = [other for other in others if len(path) > 2 and other[-2:] == path[-2:]]
    return [other for other in same_end if other[: len(path)] != path]


class Found(NamedTuple):
    """An object with a text, and what lies around it."""

    tweet: Any  # a dict, or a record that is the text itself
    is_repost: bool = False
    longer: str = ""  # the whole of a long text, where it is beside the object


NOTHING = Found(None)


def _objects(
    value: Any, wanted: Path | None, path: Path = (), around: Found = NOTHING
) -> Iterator[tuple[Path, Found]]:
    """The objects in a value at one path or, with None, at all that may be of tweets."""
    rows = as_records(value) if isinstance(value, dict) else value
    if isinstance(rows, list):
        for row in rows:  # a long text beside a list belongs to none of its elements
            yield from _objects(row, wanted, path, around._replace(longer=""))
    elif isinstance(value, dict):
        longer = _longer_text(value) or around.longer
        around = Found(value, around.is_repost or _is_repost(value), longer)
        if wanted is None or len(path) == len(wanted):
            yield path, around
        step = wanted[len(path) : len(path) + 1] if wanted else ()
        if step == (ANY,):
            around = around._replace(longer="")
        for key, inner in value.items():
            is_own = wanted is None and len(path) < MAX_DEPTH and not OF_OTHERS.search(key)
            if isinstance(inner, HOLDERS) and (is_own or step in ((ANY,), (key,))):
                yield from _objects(inner, wanted, (*path, key), around)


def _text_key(value: dict[str, Any], is_text: Callable[[str], bool]) -> str:
    """The first key of a text that holds prose; "" if there is none."""
    for key in value:
        text = joined(value[key]) if is_text(key) else None
        if isinstance(text, str) and (" " in text.strip() or not text.isascii()):
            return key
    return ""


def joined(text: Any) -> Any:
    """A text in pieces as one: ["see ", {"type": "bold", "text": "this"}] -> "see this"."""
    if not isinstance(text, list):
        return text
    pieces = [
        piece["text"] if isinstance(piece, dict) and {"type", "text"} <= piece.keys() <= PIECE_KEYS
        else piece
        for piece in text
    ]  # fmt: skip
    return "".join(pieces) if all(isinstance(piece, str) for piece in pieces) else text


def _merged(found: dict[Path, int]) -> dict[Path, int]:
    """The paths with "*" for each key that is an id or a name: those that go on alike below it."""
    for position in range(max(map(len, found))):
        alike: defaultdict[tuple[Path, str], set[str]] = defaultdict(set)
        for path in found:
            if len(path) > position:
                below = "".join(path[position + 1 : position + 2])
                alike[path[:position], ID.sub(ANY, below)].add(path[position])
        many = [(above, keys) for (above, _), keys in alike.items() if len(keys) > 1]
        ids = {(*above, key) for above, keys in many if FIXED.isdisjoint(keys) for key in keys}
        merged: Counter[Path] = Counter()
        for path, number in found.items():
            general = (*path[:position], ANY, *path[position + 1 :])
            merged[general if path[: position + 1] in ids else path] += number
        found = merged
    return found


def as_records(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """A table by columns as rows: {"text": ["a"]} or {"text": {"0": "a"}} -> [{"text": "a"}]."""
    names, rows = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(rows, list) and names:  # orient="split"
        if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
            return None
        return [dict(zip(map(str, names), row, strict=True)) for row in rows]
    for name, column in value.items():
        if not isinstance(column, HOLDERS) or not column or not is_text_name(name):
            continue
        keys, texts = (column, column.values()) if isinstance(column, dict) else ((), column)
        if all(key.isdecimal() for key in keys) and all(isinstance(t, str | None) for t in texts):
            cells = {key: c for key, c in value.items() if isinstance(c, HOLDERS)}
            wide = {key: c for key, c in cells.items() if len(c) == len(column)}
            rows = zip(
                *(c.values() if isinstance(c, dict) else c for c in wide.values()), strict=True
            )
            return [dict(zip(wide, row, strict=True)) for row in rows]
    return None


def named(record: Any) -> Any:
    """A row of bare values as an object, its columns called by their numbers; else as it is."""
    if not isinstance(record, list) or not record or any(isinstance(c, HOLDERS) for c in record):
        return record
    return {str(number): cell for number, cell in enumerate(record, 1)}


def tweets_at(record: Any, place: Place, key: str) -> list[tuple[Any, str | None]]:
    """The tweets of a record at the first path with any, and their texts, None if unreadable."""
    if isinstance(record, str):
        return [(record, record)] if place.paths == ((),) and not key else []
    best: list[tuple[Any, str | None]] = []
    for number, first in enumerate(place.paths):
        paths = [first, *_alike(first, place.paths[number + 1 :])]
        objects = [found for path in paths for _, found in _objects(record, path)]
        texts = [(found.tweet, text_of(found, key)) for found in objects]
        whole = [(tweet, text) for tweet, text in texts if text is not None or key in tweet]
        if any(text for _, text in whole):
            return whole
        best = best or whole
    return best


def objects_at(record: Any, place: Place) -> list[Any]:
    """The objects of a record at the first path of the place where one has a text."""
    for path in place.paths:
        found = [one.tweet for _, one in _objects(record, path)]
        keys = [place.key in one if place.key else _text_key(one, is_text_name) for one in found]
        if place.paths == ((),) or any(keys):
            return found
    return []


def _is_repost(value: dict[str, Any]) -> bool:
    """Whether an object passes on a post of another: a boost, a repost."""
    reason = value.get("reason")
    is_reason = isinstance(reason, dict) and "epost" in str(reason.get("$type"))
    return bool(value.get("reblog")) or is_reason or value.get("type") == "Announce"


def _longer_text(value: dict[str, Any]) -> str:
    """The text of the part of an object that holds the whole of a long one; "" if there is none."""
    for key in LONGER:
        inner = value.get(key)
        for _ in range(4):  # GraphQL: note_tweet.note_tweet_results.result.text
            if not isinstance(inner, dict):
                break
            texts = [inner[name] for name in (*X_KEYS, "body") if isinstance(inner.get(name), str)]
            if texts:
                return str(texts[0])
            inner = next((below for below in inner.values() if isinstance(below, dict)), None)
    return ""


def text_of(found: Found, key: str) -> str | None:
    """The text of an object, the long form where there is one; "" for null, None if missing."""
    tweet = found.tweet
    if key in X_KEYS and tweet.get("full_text") is not None:
        key = "full_text"
    elif key in X_KEYS and "text" in tweet:
        key = "text"
    text = joined(tweet.get(key))
    if text is None and key in tweet:
        text = ""
    if found.is_repost and isinstance(tweet.get("reblog"), dict):
        text = tweet["reblog"].get(key, text)
    if not isinstance(text, str):
        return None
    text = found.longer or text
    return f"RT @someone: {text}" if found.is_repost and not text.startswith("RT ") else text


def plain_texts(records: Sequence[Any], place: Place, key: str) -> list[str] | None:
    """The texts if each record simply has one under `key`, 5 times as fast as by `text_of`."""
    try:
        if place.paths[0] or not (NOT_PLAIN - {key}).isdisjoint(chain.from_iterable(records)):
            return None
        texts = [record[key] for record in records]
    except (KeyError, TypeError):
        return None
    is_plain = set(map(type, texts)) <= {str} and (len(place.paths) == 1 or all(texts))
    return texts if is_plain else None


def kind_of(record: Any) -> str:
    """What a record without a text calls itself, such as "app.bsky.feed.like"; "" if nothing."""
    if not isinstance(record, dict):
        return ""
    if record.keys() <= NOTICES or "connection_issue" in record:
        return "notice"
    if len(record) == 1:
        return str(next(iter(record)))
    inner = next((v for v in record.values() if isinstance(v, dict) and "collection" in v), {})
    if "operation" in inner:
        return f"{inner['collection']} {inner['operation']}"
    kinds = [holder.get(key) for holder in (inner, record) for key in KIND_KEYS]
    named = (kind for kind in kinds if isinstance(kind, str) and kind.lower() not in NO_KINDS)
    kind = next(named, "")
    return "notice" if "/" in kind else kind
