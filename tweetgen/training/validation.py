"""How well a model expects the held-out tweets."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from tweetgen.dataset import PackedBatch, TokenizedTweets, make_batch
from tweetgen.training.learner import Learner
from tweetgen.training.ranks import Ranks

TOKENS_AT_ONCE = 4096


class Expectation(NamedTuple):
    """Cross-entropy of some tweets together, EOS counted; computed in float32."""

    loss: float  # nats a token
    bits_per_character: float
    eos_bits_per_character: float  # the part of it that EOS costs


def validate(
    learner: Learner, tweets: TokenizedTweets, ranks: Ranks, most_tweets: int = 0
) -> Expectation:
    """The expectation of the validation part, which must not be empty; each rank does a share.

    0 or the number of tweets to look at at most, evenly spaced by length.
    """
    chosen = tweets.lengths[tweets.validation_start :].argsort(stable=True)
    chosen = chosen + tweets.validation_start
    if most_tweets and len(chosen) > most_tweets:
        chosen = chosen[torch.arange(most_tweets) * len(chosen) // most_tweets]
    sums = torch.zeros(2, dtype=torch.float64)
    for batch in _batches(tweets, chosen, ranks):
        losses = learner.evaluate(batch).cpu().double()
        ends = batch.lengths.cumsum(0) - 1  # EOS is the last target of each tweet
        sums += torch.stack([losses.sum(), losses[ends].sum()])
    ranks.sum(sums)
    nats, eos_nats = sums.tolist()
    bits = math.log(2) * int(tweets.characters[chosen].sum())
    return Expectation(nats / int(tweets.lengths[chosen].sum()), nats / bits, eos_nats / bits)


def _batches(tweets: TokenizedTweets, chosen: Tensor, ranks: Ranks) -> Iterator[PackedBatch]:
    """This rank's share of the tweets, which are sorted by length."""
    group = tweets.lengths[chosen].cumsum(0) // TOKENS_AT_ONCE
    for number in range(ranks.rank, int(group[-1]) + 1, ranks.size):
        together = chosen[group == number]
        if len(together):  # a tweet of more than TOKENS_AT_ONCE leaves numbers out
            yield make_batch(tweets, together)
