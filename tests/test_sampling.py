"""Choosing tokens: equal to the slow and plain ways of doing the same."""

import itertools

import pytest
import torch

from tweetgen.generation.sampling import NUM_UNIFORMS, choose, penalize, sample, sample_by_sorting
from tweetgen.settings import SamplingSettings

EOS = 0
ROUNDING = 1e-5  # of logits of 100 in float32
LAST = 1 - 2**-53  # the highest number that is drawn


def interval_by_sorting(scores, token, settings):
    """From where to where the cumulative share of a token goes, all sorted and cut off; in double.

    A token that is cut off has none: (1, 0).
    """
    shares, ids = scores.double().softmax(0).sort(descending=True)
    shares = shares[: settings.top_k] if settings.top_k else shares
    shares = shares / shares.sum()
    sums = shares.cumsum(0)
    kept = ((sums - shares < settings.top_p) | (settings.top_p == 1)) & (
        shares >= settings.min_p * shares[0]
    )
    total = float(shares[kept].sum())
    place = int((ids == token).nonzero())
    if place >= kept.sum():
        return 1.0, 0.0
    return float(sums[place] - shares[place]) / total, float(sums[place]) / total


SETTINGS = [
    SamplingSettings(top_p=top_p, top_k=top_k, min_p=min_p)
    for top_p, top_k, min_p in itertools.product(
        (1e-6, 0.3, 0.95, 0.9999, 1.0), (0, 1, 7, 300, 10**9), (0.0, 0.01, 0.5, 1.0)
    )
]


@pytest.mark.parametrize("spread", [0.5, 3.0, 20.0], ids=["flat", "usual", "peaked"])
def test_sample_by_sorting_equals_sorting_the_whole_vocabulary(spread):
    generator = torch.Generator().manual_seed(1)
    for settings in SETTINGS:
        scores = torch.randn(10, 2000, generator=generator) * spread
        scores[:, 5:9] = -torch.inf
        uniforms = torch.rand(10, dtype=torch.float64, generator=generator)
        uniforms[:2] = torch.tensor([0.0, LAST])
        tokens = sample_by_sorting(scores.softmax(1), uniforms, settings)
        for row, uniform, token in zip(scores, uniforms.tolist(), tokens.tolist(), strict=True):
            low, high = interval_by_sorting(row, token, settings)
            assert low - ROUNDING <= uniform <= high + ROUNDING, settings


@pytest.mark.parametrize("vocabulary_size", [3, 64, 300, 1000])
@pytest.mark.parametrize(
    "limits",
    [{"top_p": 1.0}, {"top_p": 0.8}, {"min_p": 0.1}, {"top_k": 5}, {"top_p": 0.1, "min_p": 0.01}],
    ids=str,
)
def test_sample_draws_each_token_as_often_as_it_should(limits, vocabulary_size):
    settings = SamplingSettings(**{"top_p": 1.0} | limits)
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(vocabulary_size, generator=generator) * 2
    first = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    others = [first[torch.randperm(4000, generator=generator)] for _ in range(NUM_UNIFORMS - 1)]
    weights = (7 * scores.softmax(0)).expand(4000, -1)
    tokens = sample(weights, torch.stack([first, *others], 1), settings)
    shares = torch.bincount(tokens, minlength=vocabulary_size) / 4000
    intervals = [interval_by_sorting(scores, token, settings) for token in range(vocabulary_size)]
    expected = torch.tensor([max(0.0, high - low) for low, high in intervals])
    assert torch.equal(shares > 0, (expected > 0) & (shares > 0))  # none that is cut off
    torch.testing.assert_close(shares, expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("vocabulary_size", [3, 64, 300])
def test_sample_never_draws_a_token_of_no_weight(vocabulary_size):
    edges = torch.tensor([[0.0], [LAST], [0.5]], dtype=torch.float64).expand(3, NUM_UNIFORMS)
    for token in (0, 1, vocabulary_size - 1):
        weights = torch.zeros(3, vocabulary_size)
        weights[:, token] = 1e-20
        assert (sample(weights, edges, SamplingSettings(top_p=1.0)) == token).all()


def test_choose_gives_the_model_s_own_log_probability():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(6, 500, generator=generator) * 3
    uniforms = torch.rand(6, NUM_UNIFORMS, dtype=torch.float64, generator=generator)
    settings = SamplingSettings(temperature=0.5, top_p=0.5, top_k=3, min_p=0.1)
    choice = choose(logits, logits.clone(), uniforms, settings)
    expected = logits.log_softmax(1).gather(1, choice.tokens[:, None])[:, 0]
    torch.testing.assert_close(choice.log_probabilities, expected)


def test_choose_applies_the_temperature_before_the_cuts():
    scores = torch.tensor([[2.0, 1.0, 0.0]])  # at 0.5: shares .867 .117 .016
    last = torch.full((1, NUM_UNIFORMS), 0.999, dtype=torch.float64)
    tokens = [
        choose(scores, scores, last, SamplingSettings(temperature=t, top_p=0.9)).tokens.item()
        for t in (0.3, 0.5, 1.0)
    ]
    assert tokens == [0, 1, 1]
    assert choose(scores, scores, last, SamplingSettings(temperature=9, top_p=1.0)).tokens == 2


def test_temperature_zero_takes_the_likeliest_whatever_the_number():
    scores = torch.randn(50, 400, generator=torch.Generator().manual_seed(4))
    uniforms = torch.linspace(0, 0.999, 200, dtype=torch.float64).view(50, NUM_UNIFORMS)
    settings = SamplingSettings(temperature=0, top_p=1.0)
    assert torch.equal(choose(scores, scores, uniforms, settings).tokens, scores.argmax(1))


def test_a_tiny_temperature_is_nearly_greedy():
    scores = torch.randn(50, 400, generator=torch.Generator().manual_seed(4))
    uniforms = torch.linspace(0, 0.999, 200, dtype=torch.float64).view(50, NUM_UNIFORMS)
    settings = SamplingSettings(temperature=1e-6, top_p=1.0)
    assert torch.equal(choose(scores, scores, uniforms, settings).tokens, scores.argmax(1))


def test_repetition_penalty_divides_or_multiplies_what_was_seen():
    logits = torch.tensor([[4.0, 3.0, -2.0, 1.0, 5.0]])
    history = torch.tensor([[EOS, 1, 2, 2, 4]])  # the last place is not used yet
    settings = SamplingSettings(repetition_penalty=2.0)
    scores = penalize(logits, history, torch.tensor([4]), EOS, settings)
    assert scores.tolist() == [[4.0, 1.5, -4.0, 1.0, 5.0]]  # and EOS as it was


def next_of_repeated(tokens, order):
    """The tokens that would end a run of `order` that is in the list already."""
    start = tokens[len(tokens) - order + 1 :] if order > 1 else []
    runs = [tokens[i : i + order] for i in range(len(tokens) - order + 1)]
    return {run[-1] for run in runs if run[:-1] == start}


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_no_repeat_ngram_equals_looking_at_every_run(order):
    generator = torch.Generator().manual_seed(5)
    history = torch.randint(1, 4, (200, 12), generator=generator)
    lengths = torch.randint(1, 13, (200,), generator=generator)
    settings = SamplingSettings(no_repeat_ngram=order)
    scores = penalize(torch.zeros(200, 4), history, lengths, EOS, settings)
    for row, length, row_scores in zip(history.tolist(), lengths.tolist(), scores, strict=True):
        banned = set(row_scores.isinf().nonzero()[:, 0].tolist())
        assert banned == next_of_repeated(row[:length], order)


@pytest.mark.parametrize("temperature, top_p", [(0.5, 0.6), (1.0, 0.9), (2.0, 1.0)])
def test_marks_are_as_likely_as_the_model_says_and_the_rest_share_what_is_left(temperature, top_p):
    settings = SamplingSettings(temperature=temperature, top_p=top_p)
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(200, generator=generator) * 2
    marks = torch.tensor([3, 50, 199])
    first = (torch.arange(8000, dtype=torch.float64) + 0.5) / 8000
    others = [first[torch.randperm(8000, generator=generator)] for _ in range(NUM_UNIFORMS - 1)]
    rows = scores.expand(8000, -1)
    tokens = choose(rows, rows, torch.stack([first, *others], 1), settings, marks).tokens
    shares = torch.bincount(tokens, minlength=200) / 8000
    own = scores.softmax(0)
    torch.testing.assert_close(shares[marks], own[marks], rtol=0, atol=0.002)
    rest = (scores / temperature).index_fill(0, marks, -torch.inf)
    best, ids = rest.softmax(0).sort(descending=True)
    kept = ids[best.cumsum(0) - best < top_p]
    expected = torch.zeros(200)
    expected[kept] = (1 - own[marks].sum()) * rest[kept].softmax(0)
    expected[marks] = own[marks]
    torch.testing.assert_close(shares, expected, rtol=0, atol=0.01)


def test_a_row_of_marks_alone_and_a_row_without_any_are_drawn_from_too():
    scores = torch.full((2, 5), -torch.inf)
    scores[0, 1], scores[1, 4] = 0.0, 0.0
    uniforms = torch.tensor([[0.0], [LAST]], dtype=torch.float64)
    for uniform in uniforms:
        numbers = uniform.expand(2, NUM_UNIFORMS)
        settings = SamplingSettings(temperature=0.7, top_p=0.9)
        chosen = choose(scores, scores, numbers, settings, torch.tensor([0, 1, 2]))
        assert chosen.tokens.tolist() == [1, 4]
