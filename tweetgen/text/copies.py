"""Which tweets are copies: hashes of the training tweets, without a word of them in clear.

A text is a copy of a training tweet if both have the same canonical key, or if, of its runs of
five words, at least half are in one training tweet.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from tweetgen.text.keys import canonical_key, hash_keys
from tweetgen.text.words import FIRST_SPACELESS, ngrams, split_words

__all__ = ["CopyGuard", "build", "canonical_key", "copy_kinds", "hash_keys"]
__all__ += ["human_copy_rate", "merge"]

RUN_LENGTH = 5  # words
COPIED_SHARE = 0.5


def _hashes(texts: Iterable[str]) -> Tensor:
    return torch.from_numpy(hash_keys(texts))


def _runs(text: str) -> list[str]:
    return [" ".join(run) for run in ngrams(split_words(text), RUN_LENGTH)]


def build(texts: Iterable[str]) -> dict[str, Tensor]:
    """What a model file keeps of its training tweets, about 180 bytes for each.

    Returns:
        keys: the sorted hashes of their canonical keys, int64.
        runs: the sorted hashes of their runs of five words, int64 (N,).
        tweets: in which tweet each run is, int32 (N,).
    """
    keys, runs = [], []
    for text in texts:
        keys.append(canonical_key(text))
        # Pairs of letters from the first and from the second on, for a copy can begin anywhere.
        readings = dict.fromkeys((text, FIRST_SPACELESS.sub(" ", text)))
        runs.append(_hashes({run for reading in readings for run in _runs(reading)}))
    owners = torch.arange(len(runs), dtype=torch.int32)
    tweets = owners.repeat_interleave(torch.tensor([len(own) for own in runs], dtype=torch.int64))
    ordered, order = torch.cat([*runs, _hashes(())]).sort(stable=True)
    return {"keys": _hashes(keys).unique(), "runs": ordered, "tweets": tweets[order]}


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
        self._keys, self._runs, self._tweets = (
            hashes.get(name, nothing) for name in ("keys", "runs", "tweets")
        )

    def kind(self, text: str, prompt: str = "") -> str:
        """ "exact", "near" or "" for a text; words that the prompt gave are never copied ones.

        So a text that adds no word to its prompt is no copy, and the runs that count are those of
        the added words.
        """
        added = text.removeprefix(prompt)
        if not split_words(added):
            return ""
        if bool(torch.isin(_hashes([canonical_key(text)]), self._keys)):
            return "exact"
        share = self._most_in_one_tweet(_hashes(_runs(added)))
        return "near" if share >= COPIED_SHARE else ""

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
    return sum(kind != "" for kind in copy_kinds(hashes, texts)) / max(len(texts), 1)
