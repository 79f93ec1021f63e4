"""Which tweets are copies: hashes of the training tweets, without a word of them in clear.

A text is a copy of a training tweet if both have the same canonical key, or if, of its runs of
five words, at least half are in one training tweet.
"""

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from tweetgen.cleaning import canonical_key
from tweetgen.cleaning.characters import SPACELESS_LETTER

RUN_LENGTH = 5  # words
COPIED_SHARE = 0.5
# Where words are not parted by spaces, two letters count as one.
_SPACELESS = SPACELESS_LETTER.pattern[1:-1]
WORD = re.compile(rf"[{_SPACELESS}]{{1,2}}|[^\W{_SPACELESS}]+")
FIRST_SPACELESS = re.compile(rf"(?<![{_SPACELESS}])[{_SPACELESS}]")

# One number of five words' hashes, their order included: powers of 0x9E3779B97F4A7C15, the odd
# number next to 2^64 / golden ratio (Knuth's multiplicative hashing), as signed 64-bit numbers.
MULTIPLIERS = (
    1,
    -7_046_029_254_386_353_131,
    -2_358_710_677_322_311_239,
    6_938_460_308_862_072_877,
    -2_791_277_408_655_628_367,
)


def split_words(text: str) -> list[str]:
    """The words by which copies are told: "Don't go, 東京都!" -> don t go 東京 都"""
    return WORD.findall(text.casefold())


def stable_hash(text: str) -> int:
    """A signed 64-bit hash, the same on every machine and in every run."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def join_runs(words: Tensor) -> Tensor:
    """Hashes of words, int64 (N,) -> hashes of the runs of five, int64 (N - 4,) or (0,)."""
    num_runs = max(0, len(words) - RUN_LENGTH + 1)
    runs = torch.zeros(num_runs, dtype=torch.int64)
    for place, multiplier in enumerate(MULTIPLIERS):
        runs += words[place : place + num_runs] * multiplier  # wraps around
    return runs


def build(texts: Iterable[str]) -> dict[str, Tensor]:
    """What a model file keeps of its training tweets, about 180 bytes for each.

    Returns:
        keys: the sorted hashes of their canonical keys, int64.
        runs: the sorted hashes of their runs of five words, int64 (N,).
        tweets: in which tweet each run is, int32 (N,).
    """
    hash_word = functools.cache(stable_hash)
    keys, words, ends, owners = [], [], [], []
    for number, text in enumerate(texts):
        keys.append(stable_hash(canonical_key(text)))
        # Pairs of letters from the first and from the second on, for a copy can begin anywhere.
        for reading in dict.fromkeys((text, FIRST_SPACELESS.sub(" ", text))):
            words += [hash_word(word) for word in split_words(reading)]
            ends.append(len(words))
            owners.append(number)
    runs = join_runs(torch.tensor(words, dtype=torch.int64))
    starts = torch.arange(len(runs))
    places = torch.searchsorted(torch.tensor(ends, dtype=torch.int64), starts, right=True)
    is_whole = starts + RUN_LENGTH <= torch.tensor([*ends, 0])[places]
    runs, tweets = runs[is_whole], torch.tensor([*owners, 0], dtype=torch.int32)[places[is_whole]]
    runs, order = runs.sort(stable=True)
    tweets = tweets[order]
    is_again = (runs[1:] == runs[:-1]) & (tweets[1:] == tweets[:-1])
    is_new = torch.cat([torch.ones(min(1, len(runs)), dtype=torch.bool), ~is_again])
    return {
        "keys": torch.tensor(keys, dtype=torch.int64).unique(),
        "runs": runs[is_new],
        "tweets": tweets[is_new],
    }


def merge(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict[str, Tensor]:
    """The hashes of two sets of tweets as those of one; `first` may be {}."""
    if not first:
        return second
    runs, order = torch.cat([first["runs"], second["runs"]]).sort(stable=True)
    above = int(first["tweets"].max()) + 1 if len(first["tweets"]) else 0
    return {
        "keys": torch.cat([first["keys"], second["keys"]]).unique(),
        "runs": runs,
        "tweets": torch.cat([first["tweets"], second["tweets"] + above])[order],
    }


class CopyGuard:
    """Tells copies of training tweets by the hashes that `build` made; none for no hashes."""

    def __init__(self, hashes: dict[str, Tensor]) -> None:
        nothing = torch.empty(0, dtype=torch.int64)
        self._keys = hashes.get("keys", nothing)
        self._runs = hashes.get("runs", nothing)
        self._tweets = hashes.get("tweets", nothing)

    def kind(self, text: str, prompt: str = "") -> str:
        """ "exact", "near" or "" for a text; words that the prompt gave are never copied ones.

        So a text that adds no word to its prompt is no copy, and the runs that count are those of
        the added words.
        """
        words = split_words(text.removeprefix(prompt))
        if not words:
            return ""
        if self._has_key(stable_hash(canonical_key(text))):
            return "exact"
        runs = join_runs(torch.tensor([stable_hash(word) for word in words]))
        return "near" if self._most_in_one_tweet(runs) >= COPIED_SHARE else ""

    def _has_key(self, key: int) -> bool:
        place = int(torch.searchsorted(self._keys, key))
        return place < len(self._keys) and int(self._keys[place]) == key

    def _most_in_one_tweet(self, runs: Tensor) -> float:
        """The largest share of these runs that is in one training tweet."""
        if not len(runs) or not len(self._runs):
            return 0.0
        starts = torch.searchsorted(self._runs, runs)
        ends = torch.searchsorted(self._runs, runs, right=True)
        counts: Counter[int] = Counter()
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            counts.update(self._tweets[start:end].tolist())
        return max(counts.values(), default=0) / len(runs)


def copy_kinds(hashes: dict[str, Tensor], texts: Sequence[str]) -> list[str]:
    """ "exact", "near" or "" for each text."""
    guard = CopyGuard(hashes)
    return [guard.kind(text) for text in texts]


def human_copy_rate(hashes: dict[str, Tensor], texts: Sequence[str]) -> float:
    """The share of human tweets that would count as copies, 0 to 1: what a model may reach."""
    kinds = copy_kinds(hashes, texts)
    return sum(kind != "" for kind in kinds) / len(kinds) if kinds else 0.0
