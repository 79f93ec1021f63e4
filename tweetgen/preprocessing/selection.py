"""Which clean tweets become the data set, and which of them are held out."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from typing import NamedTuple

import numpy as np

from tweetgen.text.keys import canonical_key
from tweetgen.preprocessing.corpus import Corpus, open_shares, places, read_texts, store
from tweetgen.preprocessing.duplicates import Bools, near_copies, signature_type, signatures
from tweetgen.settings import SelectionSettings

MIN_VALIDATION = 2  # one tweet says nothing about the next


class Split(NamedTuple):
    """Two masks over the clean texts, without a tweet in common."""

    training: Bools
    validation: Bools


def sign_share(
    share: int, _num_shares: int, corpus: Corpus, wanted: Bools, threshold: float
) -> Iterator[int]:
    """A task for `parallel.run_shares`: store the signatures of this share's wanted texts.

    Yields how many tweets are done after each batch.
    """
    kind = signature_type(threshold)
    with open(corpus.folder / f"signatures-{share}", "wb") as file:
        for texts in read_texts(corpus, wanted, share):
            keys = [canonical_key(text) for text in texts]
            store(file, signatures(keys, kind).tobytes())
            yield len(texts)


def drop_near_copies(corpus: Corpus, wanted: Bools, threshold: float) -> Bools:
    """The wanted texts that are not near an earlier one, from what `sign_share` has stored."""
    kind = signature_type(threshold)
    signed = np.empty(int(wanted.sum()), dtype=kind)
    start = 0
    with ExitStack() as stack:
        files = open_shares(corpus.folder, "signatures", corpus.batches, stack)
        for batch, place in zip(corpus.batches, places(corpus.batches), strict=True):
            stored = np.fromfile(files[batch.share], kind, int(wanted[place].sum()))
            signed[start : start + len(stored)] = stored
            start += len(stored)
    rows = np.flatnonzero(wanted)

    def keys_of(candidates: Bools) -> dict[int, str]:
        asked = np.zeros_like(wanted)
        asked[rows[candidates]] = True
        texts = chain.from_iterable(read_texts(corpus, asked))
        numbers = np.flatnonzero(candidates).tolist()
        return {n: canonical_key(text) for n, text in zip(numbers, texts, strict=True)}

    different = wanted.copy()
    different[rows[near_copies(signed, threshold, keys_of)]] = False
    return different


def split(usable: Bools, settings: SelectionSettings) -> Split:
    """Draw the tweets to keep, and of them the validation part; all are equally likely.

    A validation part of fewer than MIN_VALIDATION tweets is left out.
    """
    random = np.random.default_rng(settings.seed)
    kept = np.flatnonzero(usable)
    if settings.max_tweets and len(kept) > settings.max_tweets:
        kept = random.choice(kept, settings.max_tweets, replace=False)
    num_validation = min(round(len(kept) * settings.val_fraction), len(kept) - 1)
    if num_validation < MIN_VALIDATION:
        num_validation = 0
    validation = random.choice(kept, num_validation, replace=False)
    parts = Split(np.zeros_like(usable), np.zeros_like(usable))
    parts.training[kept] = True
    parts.training[validation] = False
    parts.validation[validation] = True
    return parts
