"""How well a model expects the held-out tweets, and what rounding its weights changes in that."""

import math
from typing import NamedTuple

import torch

from tweetgen.dataset import TokenizedTweets, make_batch
from tweetgen.training.learner import Learner
from tweetgen.training.lora import rounded
from tweetgen.training.ranks import Ranks

TOKENS_AT_ONCE = 4096
MOST_ROUNDING_COST = 0.001  # of the bits per character
NUM_ROUNDED_TWEETS = 32  # the same tweets, rounded and not: 1,000 tokens tell differences of 0.01 %


class Expectation(NamedTuple):
    """Cross-entropy of some tweets together, EOS counted."""

    loss: float  # nats a token
    bits_per_character: float
    eos_bits_per_character: float  # the part of it that EOS costs


def validate(learner: Learner, tweets: TokenizedTweets, ranks: Ranks) -> Expectation:
    """The expectation of the validation part, which must not be empty; each rank does a share.

    In the number format of the training: bfloat16 takes half the time of float32, and finds the
    same bits per character to 0.02 % of a trained SmolLM2-135M (0.2 % more of an untrained one).
    """
    return _expectation(learner, tweets, ranks, tweets.num_validation, learner.precision)


def _expectation(
    learner: Learner,
    tweets: TokenizedTweets,
    ranks: Ranks,
    most_tweets: int,
    precision: torch.dtype,
) -> Expectation:
    """The expectation of at most so many validation tweets, evenly spaced by length."""
    chosen = tweets.lengths[tweets.validation_start :].argsort(stable=True)
    chosen = chosen + tweets.validation_start
    count = min(most_tweets, len(chosen))
    chosen = chosen[torch.arange(count) * len(chosen) // count]
    lengths = tweets.lengths[chosen]
    group = lengths.cumsum(0) // TOKENS_AT_ONCE
    sums = torch.zeros(2, dtype=torch.float64)
    for number in range(ranks.rank, int(group[-1]) + 1, ranks.size):
        if not (group == number).any():  # a tweet of more than TOKENS_AT_ONCE leaves numbers out
            continue
        batch = make_batch(tweets, chosen[group == number])
        losses = learner.evaluate(batch, precision).cpu().double()
        ends = batch.lengths.cumsum(0) - 1  # EOS is the last target of each tweet
        sums += torch.stack([losses.sum(), losses[ends].sum()])
    ranks.sum(sums)
    nats, eos_nats = sums.tolist()
    bits = math.log(2) * int(tweets.characters[chosen].sum())
    return Expectation(nats / int(lengths.sum()), nats / bits, eos_nats / bits)


def file_format(learner: Learner, tweets: TokenizedTweets) -> torch.dtype:
    """float16 or bfloat16, whichever is closer to the model's weights, or float32.

    float32 if the closer one costs more than 0.1 % bits per character of some held-out tweets;
    where none are held out, float16 or bfloat16 unseen.
    """
    # By the largest weight: float16 has three bits more, but ends at 65,504.
    largest = max(float(weight.detach().abs().amax()) for weight in learner.model.parameters())
    is_small = largest < torch.finfo(torch.float16).max / 2
    closest = torch.float16 if is_small else torch.bfloat16
    if not tweets.num_validation:
        return closest
    looked_at = learner, tweets, Ranks(), NUM_ROUNDED_TWEETS, torch.float32
    exact = _expectation(*looked_at).loss
    with rounded(learner.model, closest):
        cost = _expectation(*looked_at).loss / exact - 1
    return closest if cost <= MOST_ROUNDING_COST else torch.float32
