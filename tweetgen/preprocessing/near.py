"""Which clean tweets are copies of an earlier one: by canonical key, or nearly so."""

import math
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tweetgen.preprocessing.parallel import Task, Work, map_batches
from tweetgen.text.keys import canonical_key

Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

GRAM = 5  # characters
ROWS_IN_BAND = 4  # min-hashes that must all be equal for two tweets to become candidates
MISSED = 0.001  # share of the pairs just at the threshold that no band finds
SKETCH_BITS = 1024
PAIRS_AT_ONCE = 100_000  # 25 MB of sketches


def near_duplicates(texts: pd.Series, threshold: float, workers: int) -> Bools:
    """Whether each text is near an earlier one: Jaccard similarity of 5-grams >= threshold."""
    signed = np.concatenate(map_batches(Task(signer, (threshold,), texts), workers, "comparing"))

    def keys_of(candidates: Bools) -> dict[int, str]:
        wanted = texts[candidates].tolist()
        numbers = np.flatnonzero(candidates).tolist()
        return {n: canonical_key(text) for n, text in zip(numbers, wanted, strict=True)}

    return near_copies(signed, threshold, keys_of)


def signer(threshold: float) -> Work:
    """A function from texts to their signatures."""
    kind = signature_type(threshold)
    return lambda texts: signatures([canonical_key(text) for text in texts.tolist()], kind)


def first_copies(hashes: Hashes) -> Bools:
    """Whether each is the first of all that are equal to it; bool (tweets,)."""
    first: Bools = ~pd.Series(hashes).duplicated().to_numpy()
    return first


def signature_type(threshold: float) -> np.dtype[Any]:
    """What is remembered of a tweet to find near copies: 360 bytes at a threshold of 0.8.

    bands: hashes, one of which two tweets this similar have in common (0.999 of all such pairs);
    sketch: a bit for each 5-gram; lost: 5-grams that share a bit; size: distinct 5-grams.
    """
    missed_by_one = 1 - min(threshold, 0.999) ** ROWS_IN_BAND
    num_bands = math.ceil(math.log(MISSED) / math.log(missed_by_one))
    fields = [("bands", "<u4", (num_bands,)), ("sketch", "<u8", (SKETCH_BITS // 64,))]
    return np.dtype([*fields, ("size", "<i4"), ("lost", "<i4")])


def signatures(keys: Sequence[str], kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """The signature of each canonical key; `kind` (tweets,)."""
    result = np.zeros(len(keys), dtype=kind)
    if not keys:
        return result
    grams, starts, ends = _hashed_grams(keys)
    result["bands"] = _bands(grams, starts, ends, result["bands"].shape[1])
    tweets = np.repeat(np.arange(len(keys)), ends - starts)
    inside = np.zeros(len(grams) + 1, dtype=np.int8)
    inside[starts] += 1
    inside[ends] -= 1
    own = grams[np.cumsum(inside[:-1], dtype=np.int8).astype(bool)]  # no gram across two tweets
    bits = np.zeros((len(keys), SKETCH_BITS), dtype=np.uint8)
    bits[tweets, own % SKETCH_BITS] = 1
    result["sketch"] = np.packbits(bits, axis=1).view("<u8")
    # Sorted by hand: np.unique took five times as long as all the rest.
    ordered = np.sort((tweets.astype(np.uint64) << 44) | (own >> 20))  # up to 2^20 tweets
    distinct = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    result["size"] = np.bincount((distinct >> 44).astype(np.int64), minlength=len(keys))
    result["lost"] = result["size"] - bits.sum(axis=1, dtype=np.int32)
    return result


def _hashed_grams(keys: Sequence[str]) -> tuple[Hashes, npt.NDArray[Any], npt.NDArray[Any]]:
    """The hash of every five neighbouring characters, and where each key's own ones are."""
    padded = [key.ljust(GRAM, "\0") for key in keys]  # a shorter key is one gram
    lengths = np.array([len(key) for key in padded])
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    starts = np.cumsum(lengths) - lengths
    grams = np.zeros(len(codes) - GRAM + 1, dtype=np.uint64)
    for place in range(GRAM):
        grams *= np.uint64(0x9E3779B97F4A7C15)  # odd: 2^64 / golden ratio
        grams += codes[place : len(grams) + place]
    grams ^= grams >> np.uint64(32)
    grams *= np.uint64(0xD6E8FEB86659FD93)  # mixes high into low bits (Mulvey's finaliser)
    grams ^= grams >> np.uint64(32)
    return grams, starts, starts + lengths - GRAM + 1


def _bands(
    grams: Hashes, starts: npt.NDArray[Any], ends: npt.NDArray[Any], num_bands: int
) -> npt.NDArray[np.uint32]:
    """Hashes of ROWS_IN_BAND min-hashes each; (keys, bands)."""
    borders = np.stack([starts, ends], axis=1).ravel()
    grams = np.append(grams, np.uint64(0))  # the last border is inside
    factors = np.random.default_rng(0).integers(2**64, size=num_bands * ROWS_IN_BAND, dtype="u8")
    bands = np.zeros((len(starts), num_bands), dtype=np.uint64)
    hashed = np.empty_like(grams)
    for number, factor in enumerate(factors | np.uint64(1)):
        np.multiply(grams, factor, out=hashed)
        band = bands[:, number // ROWS_IN_BAND]
        band *= np.uint64(0x9E3779B97F4A7C15)
        band ^= np.minimum.reduceat(hashed, borders)[::2]
    return (bands >> np.uint64(32)).astype(np.uint32)


def near_copies(
    signed: npt.NDArray[Any],
    threshold: float,
    keys_of: Callable[[Bools], dict[int, str]],
) -> Bools:
    """Whether each tweet is near an earlier one: Jaccard similarity of 5-grams >= threshold.

    So no two of the others are near each other. `signed` are the signatures; `keys_of` gives the
    canonical keys of the tweets it is asked for. Candidates come from bands (MinHash, LSH); the
    sketches leave few of them, whose similarity is then computed exactly.
    """
    candidates = np.zeros(len(signed), dtype=bool)
    bands = np.ascontiguousarray(signed["bands"].T)
    for band in bands:
        candidates |= pd.Series(band).duplicated(keep=False).to_numpy()
    comparison = Comparison(signed, keys_of(candidates), threshold)
    near = np.zeros(len(signed), dtype=bool)
    for band in bands:
        order = np.argsort(band, kind="stable")
        ordered = band[order]
        rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
        later = np.flatnonzero(rank)
        for distance in count(1):  # each with the one before it in its bucket, then the next
            later = later[(rank[later] >= distance) & ~near[order[later]]]
            if not len(later):
                break
            others = order[later]
            near[others[comparison.are_near(order[later - distance], others)]] = True
    return near


class Comparison:
    """Tells whether two tweets are near: mostly from their sketches, else from their texts."""

    def __init__(self, signed: npt.NDArray[Any], keys: dict[int, str], threshold: float) -> None:
        # Copied out of the records: taking pairs out of them was five times as slow.
        self.sketch, self.size, self.lost = (
            np.ascontiguousarray(signed[name]) for name in ("sketch", "size", "lost")
        )
        self.keys, self.threshold = keys, threshold

    def are_near(self, first: Places, second: Places) -> Bools:
        """Which pairs are near; all three (pairs,)."""
        near = np.zeros(len(first), dtype=bool)
        for start in range(0, len(near), PAIRS_AT_ONCE):
            pairs = slice(start, start + PAIRS_AT_ONCE)
            possible = np.flatnonzero(self._can_be_near(first[pairs], second[pairs]))
            for place in (possible + start).tolist():
                one, other = self.keys[int(first[place])], self.keys[int(second[place])]
                near[place] = similarity(one, other) >= self.threshold
        return near

    def _can_be_near(self, first: Places, second: Places) -> Bools:
        common_bits = np.bitwise_count(self.sketch[first] & self.sketch[second])
        lost = np.minimum(self.lost[first], self.lost[second])
        at_most = common_bits.sum(axis=1, dtype=np.int32) + lost  # 5-grams in common
        needed = (self.size[first] + self.size[second]) * (self.threshold / (1 + self.threshold))
        possible: Bools = at_most >= needed - 1e-6
        return possible


def similarity(one: str, other: str) -> float:
    """The Jaccard similarity of the 5-grams of two canonical keys, 0 to 1."""
    first, second = _grams(one), _grams(other)
    num_common = len(first & second)
    return num_common / (len(first) + len(second) - num_common)


def _grams(key: str) -> set[str]:
    return {key[i : i + GRAM] for i in range(max(len(key) - GRAM + 1, 1))}
