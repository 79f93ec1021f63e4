"""Clean texts to the arrays of a token file."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from tweetgen.preprocessing.corpus import Corpus, open_shares, places, read_texts, store
from tweetgen.preprocessing.duplicates import Bools
from tweetgen.tokenizer import fast_encoder

Ints = npt.NDArray[np.int32]


def encode_share(
    share: int, _num_shares: int, corpus: Corpus, wanted: Bools, tokenizer_json: str, eos: int
) -> Iterator[int]:
    """A task for `parallel.run_shares`: store the ids and lengths of this share's wanted texts.

    Every tweet's ids end with EOS. Yields how many tweets are done after each batch.
    """
    encode = fast_encoder(tokenizer_json)
    with ExitStack() as files:
        ids_file, lengths_file = (
            files.enter_context(open(corpus.folder / f"{kind}-{share}", "wb"))
            for kind in ("ids", "lengths")
        )
        for texts in read_texts(corpus, wanted, share):
            tweets = encode(texts)
            for ids in tweets:
                ids.append(eos)
            lengths = np.fromiter(map(len, tweets), np.int32, len(tweets))
            store(ids_file, np.fromiter(chain.from_iterable(tweets), np.int32).tobytes())
            store(lengths_file, lengths.tobytes())
            yield len(texts)


def read_lengths(corpus: Corpus, wanted: Bools) -> Ints:
    """Tokens of each text, EOS included, as `encode_share` stored them; 0 where not wanted."""
    lengths = np.zeros(len(corpus.rows), dtype=np.int32)
    with ExitStack() as stack:
        files = open_shares(corpus.folder, "lengths", corpus.batches, stack)
        for batch, place in zip(corpus.batches, places(corpus.batches), strict=True):
            own = wanted[place]
            lengths[place][own] = np.fromfile(files[batch.share], np.int32, int(own.sum()))
    return lengths


def assemble(corpus: Corpus, lengths: Ints, parts: Sequence[Bools]) -> tuple[Ints, Any]:
    """The ids and the offsets of the tweets in `parts`, one part after another.

    ids int32 (N,), offsets int64 (tweets + 1,); within a part in the order of the files.
    """
    starts = np.cumsum([0, *(int(lengths[part].sum(dtype=np.int64)) for part in parts)])
    ids = np.empty(starts[-1], dtype=np.int32)
    with ExitStack() as stack:
        files = open_shares(corpus.folder, "ids", corpus.batches, stack)
        for batch, place in zip(corpus.batches, places(corpus.batches), strict=True):
            stored = np.fromfile(files[batch.share], np.int32, int(lengths[place].sum()))
            for number, part in enumerate(parts):
                own = stored[np.repeat(part[place], lengths[place])]
                ids[starts[number] : starts[number] + len(own)] = own
                starts[number] += len(own)
    in_order = np.concatenate([lengths[part] for part in parts])
    return ids, np.concatenate([[0], np.cumsum(in_order, dtype=np.int64)])
