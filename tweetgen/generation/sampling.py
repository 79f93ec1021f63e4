"""The next token of each row: from logits and a few random numbers to a token.

Shapes: B rows, V vocabulary, T tokens of the longest row.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tweetgen.settings import SamplingSettings

MOST_CANDIDATES = 512  # of a row's tokens before all are sorted
NUM_UNIFORMS = 4  # for each token: three are tried before anything is sorted
COLUMN_HEIGHT = 64
ALMOST_ONE = 1 - 1e-12  # so that no rounding makes a number pass the last sum
SMALLEST_SHARE = 1e-300  # so that a token with a share of zero is never kept


class Choice(NamedTuple):
    """The tokens chosen, int64 (B,), and the model's own log-probabilities of them (B,)."""

    tokens: Tensor
    log_probabilities: Tensor  # nats; at temperature 1, nothing cut off


def choose(
    logits: Tensor,
    scores: Tensor,
    uniforms: Tensor,
    settings: SamplingSettings,
    marks: Tensor | None = None,
) -> Choice:
    """Draw one token for each row; temperature, top_k, top_p and min_p apply in this order.

    Args:
        logits: float32 (B, V), what the model says; for the log-probabilities.
        scores: float32 (B, V), the same after any penalties; for the choice.
        uniforms: float64 (B, NUM_UNIFORMS), from 0 up to but not including 1.
        marks: tokens, int64 (M,), that keep the probability the model gives them.
    """
    if settings.temperature == 0:
        tokens = scores.argmax(1)
    else:
        weights = (scores / settings.temperature).softmax(1)
        if marks is None or not len(marks) or settings.top_k:
            tokens = sample(weights, uniforms, settings)
        else:
            own = (weights if settings.temperature == 1 else scores.softmax(1))[:, marks]
            tokens = sample_beside_marks(weights, own, marks, uniforms, settings)
    return Choice(tokens, -F.cross_entropy(logits, tokens, reduction="none"))


def sample_beside_marks(
    weights: Tensor, own: Tensor, marks: Tensor, uniforms: Tensor, settings: SamplingSettings
) -> Tensor:
    """Tokens int64 (B,): a mark as likely as the model says, else what `sample` draws of the rest.

    Emoji and hashtags begin with tokens that are rare in every single place: a lower temperature
    and top-p would take nearly all of them away, though people use them in every tenth tweet.
    `own`, float32 (B, M), are the probabilities of the marks at temperature 1. The first uniform
    decides between marks and others, and then, spread over 0 to 1 again, which of them.
    """
    share, first = _row_sums(own).double(), uniforms[:, 0]
    is_mark = first < share
    within = torch.where(is_mark, first / share, (first - share) / (1 - share))
    within = within.nan_to_num(0).clamp(0, ALMOST_ONE)
    tokens = torch.empty(len(weights), dtype=torch.int64, device=weights.device)
    if is_mark.any():
        tokens[is_mark] = marks[_sample_all(own[is_mark], within[is_mark])]
    others = ~is_mark
    if others.any():
        uniforms = torch.cat([within[:, None], uniforms[:, 1:]], 1)[others]
        tokens[others] = sample(weights[others].index_fill_(1, marks, 0), uniforms, settings)
    return tokens


def sample(weights: Tensor, uniforms: Tensor, settings: SamplingSettings) -> Tensor:
    """Tokens int64 (B,), by what top_k, top_p and min_p keep of the weights float32 (B, V).

    A token is drawn from all, which needs no sorting. If it is one of those kept, it is as likely
    as it should be; otherwise another is drawn, and after some tries one from those kept.
    """
    if settings.top_k:
        return sample_by_sorting(weights, uniforms[:, -1], settings)
    tokens = _sample_all(weights, uniforms[:, 0])
    rest = (~_is_kept(weights, tokens, settings)).nonzero()[:, 0]
    for number in range(1, NUM_UNIFORMS - 1):
        if not len(rest):
            return tokens
        some = weights[rest]
        tokens[rest] = _sample_all(some, uniforms[rest, number])
        rest = rest[~_is_kept(some, tokens[rest], settings)]
    tokens[rest] = sample_by_sorting(weights[rest], uniforms[rest, -1], settings)
    return tokens


def _is_kept(weights: Tensor, tokens: Tensor, settings: SamplingSettings) -> Tensor:
    """Whether top_p and min_p keep these tokens, bool (B,)."""
    chosen = weights.gather(1, tokens[:, None])
    kept = torch.ones_like(tokens, dtype=torch.bool)
    if settings.min_p:
        kept &= chosen[:, 0] >= settings.min_p * weights.amax(1)
    if settings.top_p < 1:
        # The sum of the weights above the chosen one, without a mask of truth values: 4 times
        # faster on a processor.
        above = (weights - chosen).clamp_min_(0)
        likelier = _row_sums(above) + chosen[:, 0] * _row_sums(above.sign_())
        kept &= likelier < settings.top_p * _row_sums(weights)
    return kept


def _row_sums(rows: Tensor) -> Tensor:
    """(B, V) -> (B,); a single row is summed as two are, because threads would share it."""
    return rows.expand(2, -1).sum(1)[:1] if len(rows) == 1 else rows.sum(1)


def _sample_all(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Tokens int64 (B,), each as likely as its weight says: first a column of them, then one."""
    height = min(COLUMN_HEIGHT, weights.shape[1])
    width = weights.shape[1] // height
    square = weights[:, : height * width].view(-1, height, width)
    rest = weights[:, height * width :]  # each a column of its own
    sums = torch.cat([square.sum(1), rest], 1).double()
    columns, within = _search(sums, uniforms)
    in_square = columns[:, None, None].clamp_max(width - 1).expand(-1, height, 1)
    rows, _ = _search(square.gather(2, in_square)[:, :, 0].double(), within)
    return torch.where(columns < width, rows * width + columns, (height - 1) * width + columns)


def _search(weights: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Where the cumulative share passes a number from 0 to 1, and how far into that place, (B,)."""
    sums = weights.cumsum(1)
    targets = uniforms[:, None] * (sums[:, -1:] * ALMOST_ONE)
    places = torch.searchsorted(sums, targets, right=True)
    places.clamp_max_(weights.shape[1] - 1)  # all weights are 0 in a column that is not the one
    own = weights.gather(1, places)
    within = 1 - (sums.gather(1, places) - targets) / own
    return places[:, 0], within[:, 0].clamp_(0, 1)


def sample_by_sorting(
    weights: Tensor, uniforms: Tensor, settings: SamplingSettings, most: int = MOST_CANDIDATES
) -> Tensor:
    """Tokens int64 (B,), where the cumulative share of those kept, likeliest first, passes one.

    weights 5 3 1 1, top_p 0.7: 5 and 3 are kept, and a uniform of 0.6 falls into 5's 5/8.

    The likeliest few hundred decide where the last of them is cut off; other rows sort all.
    """
    vocabulary_size = weights.shape[1]
    num_candidates = min(settings.top_k or most, vocabulary_size)
    best, ids = weights.topk(num_candidates)
    shares = (best / _row_sums(weights)[:, None]).double()
    if settings.top_k:
        shares /= shares.sum(1, keepdim=True)
    sums = shares.cumsum(1)
    cut = settings.top_p if settings.top_p < 1 else math.inf  # sums may round up to 1 early
    least = (settings.min_p * shares[:, :1]).clamp_min(SMALLEST_SHARE)
    num_kept = ((sums - shares < cut) & (shares >= least)).sum(1, keepdim=True)
    mass = sums.gather(1, num_kept - 1)
    places = torch.searchsorted(sums, uniforms[:, None] * mass, right=True)
    # No further than the last one kept: a product with 1 - 2^-53 rounds up to the mass.
    tokens = ids.gather(1, places.minimum(num_kept - 1))[:, 0]
    if num_candidates in (settings.top_k, vocabulary_size):
        return tokens
    is_open = num_kept[:, 0] == num_candidates
    if is_open.any():
        rows = weights[is_open]
        tokens[is_open] = sample_by_sorting(rows, uniforms[is_open], settings, vocabulary_size)
    return tokens


def penalize(
    logits: Tensor, history: Tensor, lengths: Tensor, eos_token_id: int, settings: SamplingSettings
) -> Tensor:
    """Scores (B, V) after repetition_penalty and no_repeat_ngram; EOS is never made less likely.

    `history`, int64 (B, T), has each row's `lengths` tokens so far, then anything.
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
