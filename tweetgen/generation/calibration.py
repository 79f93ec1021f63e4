"""How much likelier hashtags, emoji and other marks must become, so that drafts have enough."""

import torch
from torch import Tensor

from tweetgen.dataset import TokenizedTweets, make_batch
from tweetgen.generation.model import TweetModel

ROWS = 64  # tweets read side by side
# SmolLM2-135M reads 512 tweets in 10 s on two cores; larger models read as many in that time.
MOST_TWEETS, TWEETS_TIMES_PARAMETERS = 8 * ROWS, 70_000_000_000
MOST_LOOKED_AT = 20_000  # tweets in which marks are counted: a share of 5 % is known to 0.3 %
PRIOR = 2.0  # marks that hold a factor back: of three, one more or less says little


def mark_factors(model: TweetModel, tweets: TokenizedTweets) -> dict[str, float]:
    """By what to multiply the odds of each kind of `model.marks`, to have as many as people.

    So many training tweets have one, for each that has one where the model expects the first. An
    average of weights expects too few: after steps 60 to 130 on one voice SmolLM2-135M expected
    0.04 to 0.17 hashtags a tweet, people use 0.07, and the averages of these weights expected 0.05.
    What comes and goes from step to step is rarer in the mean of logits than in the mean of
    probabilities.
    """
    if not model.marks:
        return {}
    kinds = _kinds_of_ids(model)
    size = max(1, model.num_parameters)
    chosen = _typical(tweets, kinds, min(MOST_TWEETS, max(ROWS, TWEETS_TIMES_PARAMETERS // size)))
    sums = torch.zeros(2, len(model.marks), dtype=torch.float64)
    for numbers in chosen[tweets.lengths[chosen].argsort(stable=True)].split(ROWS):
        rows = [tweets.ids[tweets.offsets[n] : tweets.offsets[n + 1]].long() for n in numbers]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)
        sums += _first_marks(model, ids, kinds)
    real, expected = (sums + PRIOR).tolist()
    return {kind: r / e for kind, r, e in zip(model.marks, real, expected, strict=True)}


def _kinds_of_ids(model: TweetModel) -> Tensor:
    """Whether each id is a mark of each kind, float32 (V, K)."""
    kinds = torch.zeros(model.decoder.vocabulary_size, len(model.marks))
    for number, ids in enumerate(model.marks.values()):
        kinds[ids, number] = 1
    return kinds


def _typical(tweets: TokenizedTweets, kinds: Tensor, count: int) -> Tensor:
    """Numbers of so many training tweets, int64, of which as many as of all have each mark."""
    size = min(MOST_LOOKED_AT, tweets.num_training)
    numbers = torch.arange(size) * tweets.num_training // size
    batch = make_batch(tweets, numbers)
    row_of_token, found = torch.arange(size).repeat_interleave(batch.lengths), torch.zeros(size)
    for kind, is_mark in enumerate(kinds.T):
        found[row_of_token[is_mark[batch.targets] > 0].unique()] += 1 << kind
    count = min(count, size)
    return numbers[found.argsort(stable=True)[torch.arange(count) * size // count]]


@torch.inference_mode()
def _first_marks(model: TweetModel, ids: Tensor, kinds: Tensor) -> Tensor:
    """How many rows (B, T), padded with -1, have a mark of each kind, and how many are expected to.

    float64 (2, K). What comes after a row's first mark of a kind does not count for that kind.
    """
    decoder, sums = model.decoder, torch.zeros(2, kinds.shape[1], dtype=torch.float64)
    prefix = decoder.prefill([[model.eos_token_id]])[0]
    for row in range(len(ids)):
        decoder.place(row, prefix)
    never = torch.tensor(model.never, dtype=torch.int64)
    is_open = torch.ones(len(ids), kinds.shape[1], dtype=torch.bool)
    for place, column in enumerate(ids.T):
        if place:
            logits = decoder.step(ids[:, place - 1].clamp_min(0).to(decoder.device)).cpu()
        else:
            logits = prefix.logits.cpu().repeat(len(ids), 1)
        is_open &= column[:, None] >= 0
        shares, is_mark = logits.index_fill_(1, never, -torch.inf).softmax(1), kinds[column] > 0
        sums += torch.stack([(is_mark & is_open).sum(0), (is_open * (shares @ kinds)).sum(0)])
        is_open &= ~is_mark
    return sums
