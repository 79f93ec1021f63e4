"""How well a model expects the held-out tweets."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch

from tweetgen.dataset import Batch, Tokens, make_batch
from tweetgen.training.learner import Learner
from tweetgen.training.ranks import Ranks

TOKENS_AT_ONCE = 4096


class Expectation(NamedTuple):
    """Cross-entropy of all held-out tweets together, EOS counted; computed in float32."""

    loss: float  # nats a token
    bits_per_character: float
    eos_bits_per_character: float  # the part of it that EOS costs


def validate(learner: Learner, tokens: Tokens, ranks: Ranks) -> Expectation:
    """The expectation of the validation part, which must not be empty; each rank does a share."""
    first = tokens.validation_start
    sums = torch.zeros(2, dtype=torch.float64)
    for batch in _batches(tokens, ranks):
        losses = learner.evaluate(batch).cpu().double()
        ends = batch.lengths.cumsum(0) - 1  # EOS is the last target of each tweet
        sums += torch.stack([losses.sum(), losses[ends].sum()])
    ranks.sum(sums)
    nats, eos_nats = sums.tolist()
    bits = math.log(2) * int(tokens.characters[first:].sum())
    return Expectation(nats / int(tokens.lengths[first:].sum()), nats / bits, eos_nats / bits)


def _batches(tokens: Tokens, ranks: Ranks) -> Iterator[Batch]:
    """This rank's share of the held-out tweets, similar lengths together."""
    first = tokens.validation_start
    order = tokens.lengths[first:].argsort(stable=True) + first
    group = tokens.lengths[order].cumsum(0) // TOKENS_AT_ONCE
    for number in range(ranks.rank, int(group[-1]) + 1, ranks.size):
        tweets = order[group == number]
        if len(tweets):  # a tweet of more than TOKENS_AT_ONCE leaves numbers out
            yield make_batch(tokens, tweets)
