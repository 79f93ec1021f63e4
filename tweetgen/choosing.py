"""The next token of each row: from logits and one random number to a token.

Shapes: B rows, V vocabulary, T tokens of the longest row.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tweetgen.settings import SamplingSettings

FIRST_CANDIDATES = 64  # of tweets, 8 in 10 tokens are among the 64 likeliest
WIDENING = 16
SMALLEST_SHARE = 1e-300  # so that a token with a share of zero is never kept


class Choice(NamedTuple):
    """The tokens chosen, int64 (B,), and the model's own log-probabilities of them (B,)."""

    tokens: Tensor
    log_probabilities: Tensor  # nats; at temperature 1, nothing cut off


def choose(logits: Tensor, scores: Tensor, uniforms: Tensor, settings: SamplingSettings) -> Choice:
    """Draw one token for each row.

    Args:
        logits: float32 (B, V), what the model says; for the log-probabilities.
        scores: float32 (B, V), the same after any penalties; for the choice. May be `logits`.
        uniforms: float64 (B,), from 0 up to but not including 1. The token is where the cumulative
            probability, likeliest first, passes the number times its total.
        settings: temperature, top_k, top_p and min_p, cut off in this order.
    """
    if settings.temperature == 0:
        tokens = scores.argmax(1)
    else:
        tokens = sample(scores / settings.temperature, uniforms, settings)
    chosen = logits.gather(1, tokens[:, None])[:, 0]
    return Choice(tokens, chosen - logits.logsumexp(1))


def sample(scores: Tensor, uniforms: Tensor, settings: SamplingSettings) -> Tensor:
    """Tokens int64 (B,) for scores (B, V) after temperature, sorting only what must be sorted.

    The likeliest 64 tokens decide most rows; for the others 16 times as many are looked at.
    """
    total = scores.logsumexp(1)
    vocabulary_size = scores.shape[1]
    num_candidates = min(settings.top_k or FIRST_CANDIDATES, vocabulary_size)
    tokens = torch.full_like(uniforms, -1, dtype=torch.int64)
    rows = torch.arange(len(scores), device=scores.device)
    while len(rows):
        is_all = num_candidates in (settings.top_k, vocabulary_size)
        best, ids = scores[rows].topk(num_candidates)
        shares = (best - total[rows, None]).double().exp()
        places = _places(shares, uniforms[rows], settings, is_all=is_all)
        known = places >= 0
        tokens[rows[known]] = ids[known].gather(1, places[known, None])[:, 0]
        rows = rows[~known]
        num_candidates = min(num_candidates * WIDENING, vocabulary_size)
    return tokens


def _places(
    shares: Tensor, uniforms: Tensor, settings: SamplingSettings, *, is_all: bool
) -> Tensor:
    """Which candidate each row takes, int64 (B,), or -1 where more candidates must be seen.

    Args:
        shares: float64 (B, K), probabilities of the likeliest tokens, falling.
        uniforms: float64 (B,).
        is_all: whether there are no other candidates.
    """
    if settings.top_k:
        shares = shares / shares.sum(1, keepdim=True)
    sums = shares.cumsum(1)
    cut = settings.top_p if settings.top_p < 1 else math.inf  # sums may round up to 1 early
    least = (settings.min_p * shares[:, :1]).clamp_min(SMALLEST_SHARE)
    kept = (sums - shares < cut) & (shares >= least)
    num_kept = kept.sum(1, keepdim=True)
    exact = sums.gather(1, num_kept - 1)
    # Where the cut is not in sight, the total lies between top_p and one more token than that.
    # Often the choice is the same at both ends, and nothing more needs to be sorted.
    is_cut = (num_kept < shares.shape[1]) | is_all
    smallest = sums[:, -1:] if settings.min_p else torch.full_like(exact, settings.top_p)
    largest = (settings.top_p + shares[:, -1:]).clamp_max(1)
    low, high = torch.where(is_cut, exact, smallest), torch.where(is_cut, exact, largest)
    first = torch.searchsorted(sums, uniforms[:, None] * low, right=True)
    last = torch.searchsorted(sums, uniforms[:, None] * high, right=True)
    is_known = (first == last) & (first < shares.shape[1])
    at_most = torch.minimum(first, num_kept - 1)  # a product of 1 - 2^-53 rounds up to the total
    return torch.where(is_cut, at_most, torch.where(is_known, first, -1))[:, 0]


def penalize(
    logits: Tensor, history: Tensor, lengths: Tensor, eos_token_id: int, settings: SamplingSettings
) -> Tensor:
    """Scores (B, V) after repetition_penalty and no_repeat_ngram; EOS is never made less likely.

    Args:
        logits: float32 (B, V).
        history: int64 (B, T), each row's tokens so far, then anything.
        lengths: int64 (B,), how many tokens each row has.
    """
    scores = logits.clone()
    places = torch.arange(history.shape[1], device=history.device)
    history = history.masked_fill(places >= lengths[:, None], eos_token_id)
    if settings.repetition_penalty != 1:  # Keskar et al., arXiv 1909.05858
        seen = scores.gather(1, history)
        factor = settings.repetition_penalty
        scores.scatter_(1, history, torch.where(seen > 0, seen / factor, seen * factor))
    if settings.no_repeat_ngram:
        repeated = _next_of_repeated(history, lengths, settings.no_repeat_ngram, eos_token_id)
        scores.scatter_(1, repeated, -torch.inf)
    scores[:, eos_token_id] = logits[:, eos_token_id]
    return scores


def _next_of_repeated(history: Tensor, lengths: Tensor, order: int, filler: int) -> Tensor:
    """The tokens that would end a run of `order` tokens a row already has, int64 (B, T or less).

    [5, 6, 7, 5, 6] and order 3 -> 7; the other places hold `filler`.
    """
    if history.shape[1] < order:
        return history[:, :0]
    start = order - 1
    runs = history.unfold(1, order, 1)  # (B, T - order + 1, order)
    last = (lengths[:, None] - start + torch.arange(start, device=history.device)).clamp_min(0)
    matches = (runs[:, :, :start] == history.gather(1, last)[:, None]).all(2)
    ends = torch.arange(runs.shape[1], device=history.device) + order
    is_whole = (ends <= lengths[:, None]) & (lengths[:, None] >= order)
    return torch.where(matches & is_whole, runs[:, :, -1], filler)
