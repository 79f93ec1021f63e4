"""Hashtags, emoji and other marks come in drafts as often as in tweets."""

import pytest
import torch

from tests.tiny import END_ID, VOCABULARY_SIZE, byte_tokenizer_json, tiny_tokens
from tweetgen.generation.calibration import MOST_TWEETS, PRIOR, mark_factors
from tweetgen.generation.decoder import Prefix
from tweetgen.generation.drawing import TweetModel, first_drafts
from tweetgen.settings import SamplingSettings
from tweetgen.text import copies
from tweetgen.tokenizer import encoder

TOKENIZER = encoder(byte_tokenizer_json())
HASH, LETTER = TOKENIZER.token_to_id("#"), TOKENIZER.token_to_id("a")
MARKS = {"hashtags": [HASH], "questions": [TOKENIZER.token_to_id("?")]}


class SteadyDecoder:
    """Gives the same probabilities in every place: "#", "?", the end, and else "a"."""

    device = torch.device("cpu")
    vocabulary_size = VOCABULARY_SIZE
    context_length = 300

    def __init__(self, hashtag, question, end):
        shares = torch.full((VOCABULARY_SIZE,), 1e-12)
        shares[[HASH, *MARKS["questions"], END_ID]] = torch.tensor([hashtag, question, end])
        shares[LETTER] = 1 - hashtag - question - end
        self._logits = shares.log()

    def prefill(self, prompts):
        return [Prefix(len(tokens), None, self._logits.clone()) for tokens in prompts]

    def place(self, row, prefix):
        pass

    def move(self, source, target):
        pass

    def step(self, tokens):
        return self._logits.repeat(len(tokens), 1)


def steady(hashtag=0.02, question=0.01, end=0.1, **changes):
    decoder, guard = SteadyDecoder(hashtag, question, end), copies.CopyGuard(copies.build([]))
    return TweetModel(decoder, TOKENIZER, END_ID, [], guard, 0, MARKS)._replace(**changes)


def test_factors_are_the_tweets_with_a_mark_for_each_that_the_model_expects():
    texts = ["aaaa", "aa#aa#aa", "a?", "##a", "a" * 30]
    factors = mark_factors(steady(), tiny_tokens(texts, num_validation=0))
    # Places up to the first mark, the end of the tweet included.
    hashtag_places, question_places = 5 + 3 + 3 + 1 + 31, 5 + 9 + 2 + 4 + 31
    expected = {"hashtags": 0.02 * hashtag_places, "questions": 0.01 * question_places}
    real = {"hashtags": 2, "questions": 1}
    assert factors == pytest.approx({n: (real[n] + PRIOR) / (expected[n] + PRIOR) for n in real})


def test_held_out_tweets_have_no_part_in_the_factors():
    texts, more = ["aaaa", "aa#a"] * 10, ["#?#?"] * 20
    tweets = tiny_tokens([*texts, *more], num_validation=len(more))
    assert mark_factors(steady(), tweets) == mark_factors(steady(), tiny_tokens(texts, 0))


def test_of_many_tweets_those_looked_at_have_marks_as_often_as_all():
    texts = ["a#aa"] * 300 + ["aaaa"] * 3000 + ["a?aa"] * 700 + ["aaaa"] * 4000
    factors = mark_factors(steady(), tiny_tokens(texts, num_validation=0))
    real = 300 / len(texts) * MOST_TWEETS
    expected = 0.02 * (5 * MOST_TWEETS - 3 * real)
    assert abs(factors["hashtags"] / ((real + PRIOR) / (expected + PRIOR)) - 1) < 0.06


def test_with_factors_drafts_have_as_many_marks_as_tweets():
    tweets = tiny_tokens(["aaaaaaaaa"] * 320 + ["aaaa#aaaa"] * 80, num_validation=0)
    settings = SamplingSettings(temperature=1.0, top_p=1.0)
    before = steady(hashtag=0.005)
    after = before._replace(mark_factors=mark_factors(before, tweets))
    with_one = [
        sum("#" in draft.text for draft in first_drafts(model, settings, 2000)) / 2000
        for model in (before, after)
    ]
    assert with_one[0] < 0.06
    assert 0.15 < with_one[1] < 0.22


def test_a_model_without_marks_has_no_factors():
    assert mark_factors(steady(marks={}), tiny_tokens(["aaaa"], num_validation=0)) == {}
