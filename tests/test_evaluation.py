"""How drafts are told from human tweets: worked examples, slow references, and one whole run."""

import dataclasses
import json
import math
import random

import numpy as np
import pytest
import torch

from tests.examples import model_content
from tests.tiny import END_ID, byte_tokenizer_json, tiny_model, tiny_model_folder, tiny_tokens
from tweetgen.errors import TweetgenError
from tweetgen.evaluation import Evaluation, evaluate
from tweetgen.evaluation.compare import Fluency, evenly_spaced
from tweetgen.evaluation.likelihood import likelihoods
from tweetgen.evaluation.rates import ROWS, Learned, distinct_pairs, measure
from tweetgen.evaluation.score import giveaways, tell_apart, text_features, told_apart
from tweetgen.models import Pretrained
from tweetgen.settings import SamplingSettings
from tweetgen.text import copies
from tweetgen.tokenizer import encoder

NOUNS = ("harbour", "ferry", "pier", "gull", "tide", "kettle", "bell", "lamp", "rope", "boat")
VERBS = ("waits", "sleeps", "returns", "sings", "leaks", "turns", "listens", "drifts")


def sentences(count: int, seed: int, ending: str = ".") -> list[str]:
    """So many tweets of one voice, all from the same distribution."""
    draw = random.Random(seed)
    forms = "The {} {} by the {}", "A {} {}, and the {} too", "Nobody {1} like the {0} or the {2}"
    return [
        draw.choice(forms).format(draw.choice(NOUNS), draw.choice(VERBS), draw.choice(NOUNS))
        + ending
        for _ in range(count)
    ]


def noise(count: int, seed: int, mean: float = 0.0):
    """Likelihood figures: normal, independent."""
    return np.random.default_rng(seed).normal(mean, 1, (count, 6))


def test_texts_of_one_distribution_are_not_told_apart():
    means = [
        told_apart(text_features([*sentences(100, seed), *sentences(100, seed + 50)])[0], 100).mean
        for seed in range(6)
    ]
    assert abs(np.mean(means) - 0.5) < 0.05
    assert abs(np.mean([told_apart(noise(200, seed), 100).mean for seed in range(20)]) - 0.5) < 0.05


def test_obvious_differences_are_always_told():
    texts = [*sentences(60, 0, " a bit!!"), *sentences(60, 1)]
    assert told_apart(text_features(texts)[0], 60).mean > 0.99
    figures = np.concatenate([noise(60, 0, 5), noise(60, 1)])
    assert told_apart(figures, 60).mean > 0.99


def test_the_area_is_that_of_a_known_shift_and_the_spread_its_error():
    # two normals one deviation apart in one column: area = Phi(1 / sqrt 2) = 0.760
    areas = []
    for seed in range(12):
        column = np.random.default_rng(seed).normal(0, 1, (400, 1))
        column[:200] += 1
        areas.append(told_apart(column, 200))
    assert np.mean([area.mean for area in areas]) == pytest.approx(0.760, abs=0.015)
    between = np.std([area.mean for area in areas])
    assert 0.5 < np.mean([area.spread for area in areas]) / between < 2


def test_the_score_has_both_eyes_and_its_floor():
    drafts, human, learned = sentences(60, 0, "!"), sentences(60, 1), sentences(60, 2)
    blind = tell_apart(drafts, human, learned)
    assert blind.surface.mean > 0.95 and blind.sense is blind.both is None
    assert blind.floor.mean < 0.65
    figures = [noise(60, 0), noise(60, 1), noise(60, 2, mean=5)]
    seeing = tell_apart(drafts, human, learned, figures)
    assert seeing.surface == blind.surface and seeing.num_tweets == 60
    assert seeing.sense.mean < 0.7 < 0.9 < seeing.both.mean
    assert seeing.floor.mean > 0.95, "the floor goes by the figures too"
    assert "0.5 = not at all; two halves of the real tweets: 1.00" in seeing.lines()[0]


def test_the_same_seed_gives_the_same_score():
    kinds = [sentences(50, seed) for seed in range(3)]
    assert tell_apart(*kinds, seed=3) == tell_apart(*kinds, seed=3)
    assert tell_apart(*kinds, seed=3).surface != tell_apart(*kinds, seed=4).surface


def test_giveaways_name_what_only_drafts_say():
    drafts = [f"a bit {text}" for text in sentences(40, 0, "!!")]
    found = giveaways(drafts, sentences(40, 1))
    assert found["!!"] == found["a bit"] == [1, 0]
    assert len(found) <= 10 and not found.keys() & {".", "bit"}


def judge(seed=0, architecture="gpt2"):
    return Pretrained(tiny_model(architecture, seed), byte_tokenizer_json(), END_ID)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_likelihood_figures_are_those_of_one_tweet_at_a_time(architecture):
    texts = ["fog at dawn", "é", "", "gulls won: 3–0, and again", "x" * 200]
    found = likelihoods(judge(architecture=architecture), texts)
    nats = eos_nats = 0.0
    for text, figures in zip(texts, found.figures, strict=True):
        ids = encoder(byte_tokenizer_json()).encode(text, add_special_tokens=False).ids[:63]
        row = torch.tensor([[END_ID, *ids, END_ID]])
        with torch.no_grad():
            logs = tiny_model(architecture)(row[:, :-1]).logits[0].log_softmax(-1).double()
        surprise = -logs.gather(-1, row[0, 1:, None])[:, 0]
        ranks = (logs > -surprise[:, None]).sum(-1)[:-1]
        nats, eos_nats = nats + float(surprise[:-1].sum()), eos_nats + float(surprise[-1])
        own = surprise[:-1].numpy()
        expected = [0.0] * 6
        if len(own):
            shares = [float((ranks == 0).double().mean()), float((ranks >= 100).double().mean())]
            expected = [own.mean(), own.std(), own.max(), *shares, len(own)]
        assert figures == pytest.approx(expected, rel=1e-4, abs=1e-5)
    characters = sum(map(len, texts)) * math.log(2)
    assert found.bits_per_character == pytest.approx(nats / characters, rel=1e-5)
    assert found.eos_bits_per_character == pytest.approx(eos_nats / characters, rel=1e-5)


def test_likelihoods_do_not_depend_on_the_batch():
    texts = sentences(80, 0)
    together, alone = likelihoods(judge(), texts), likelihoods(judge(), texts[70:])
    assert together.figures[70:] == pytest.approx(alone.figures, rel=1e-4)


@pytest.mark.parametrize(
    "drafts, verdict", [(1.962, "+13%: word salad"), (1.482, "-15%: too smooth"), (1.74, "close")]
)
def test_fluency_is_said_in_words(drafts, verdict):
    assert verdict in str(Fluency("models/base", drafts, 1.735))


def test_rates_are_shares_of_tweets_with_at_least_one():
    texts = ["#a #b hi", "@you 😀 https://x.com/a", "plain?", "#1 a@b.c\nexample"]
    found = measure(texts, 280, 4)
    names = ("hashtags", "mentions", "links", "emoji", "questions", "line_breaks")
    assert [found[name] for name in names] == [1 / 4] * 6


def test_lengths_are_as_x_counts_them():
    texts = ["東" * 140, "東" * 141, "a" * 280, "go https://x.com/" + "a" * 300]
    found = measure(texts, 280, 4)
    assert found["within_limit"] == 3 / 4
    assert found["mean_length"] == (280 + 282 + 280 + 26) / 4
    assert measure(texts, 0, 4)["within_limit"] == 1


def test_usable_needs_an_end_a_text_the_length_and_originality():
    trained_on = "we saw the old harbour lights go out one by one"
    near = "we saw the old harbour lights go out at dawn"  # 4 of its 6 runs of five words
    texts = ["fine words", "not ended", " ", "x" * 281, trained_on.upper() + "!", near]
    learned = Learned(copies.build([trained_on]), [trained_on])
    found = measure(texts, 280, 6, learned, [True, False, True, True, True, True])
    assert (found["usable"], found["ended"], found["copies"]) == (1 / 6, 5 / 6, 2 / 6)


def test_new_words_are_those_in_no_training_tweet():
    learned = Learned(copies.build([]), ["the OLD harbour"])
    assert measure(["Old harbour, old HARBOR 1!", "haha"], 0, 2, learned)["new_words"] == 2 / 5


def test_training_tweets_have_no_copies_and_no_new_words():
    assert not measure(["some words"], 280, 1).keys() & {"copies", "new_words", "ended", "usable"}


def test_distinct_pairs_are_within_a_text_and_of_the_first_ones():
    assert distinct_pairs(["a b c", "a b c", "b d"]) == 3 / 5
    assert distinct_pairs(["a b", "a b"]) == 1 / 2, "with b-a across the border it were 2 / 3"
    assert distinct_pairs([]) == 0
    assert measure(["a b", "a b", "c d"], 0, 2)["distinct_2"] == 1 / 2


def test_evenly_spaced_reaches_over_all_texts():
    assert evenly_spaced("abcdefghij", 4) == ["a", "c", "f", "h"]
    assert evenly_spaced("abc", 5) == ["a", "b", "c"]


LEARNED = ("rain on the pier again", "the ferry is late", "tea, then the tide tables")
HELD_OUT = ("fog at dawn", "gulls won: 3–0", "é", "low tide, no chips", "rain on the pier again")
SETTINGS = SamplingSettings(batch_size=4, max_length=30)


def evaluated(learned=LEARNED, held_out=HELD_OUT, num_samples=6, judge=None, **changes):
    tokens = tiny_tokens([*learned, *held_out], num_validation=len(held_out))
    training = {"data_fingerprint": tokens.fingerprint, "model_name": "no/such/folder"}
    content = model_content() | {"originality": copies.build(learned), "training": training}
    return evaluate(content | changes, tokens, SETTINGS, num_samples, device="cpu", judge=judge)


@pytest.fixture(scope="module")
def evaluation():
    return evaluated()


def test_few_held_out_tweets_get_no_score_but_all_else(evaluation):
    assert evaluation.score is None and evaluation.fluency is None
    assert "too few of them, 50 are needed" in evaluation.table()
    assert (evaluation.model["tweets"], evaluation.human["tweets"]) == (6, 5)
    # fog at dawn gulls won é low no chips, of 3 + 2 + 1 + 4 + 5 words
    assert (evaluation.human["copies"], evaluation.human["new_words"]) == (1 / 5, 9 / 15)


def test_bits_per_character_are_of_all_held_out_tweets_with_their_ends(evaluation):
    own = likelihoods(judge(), HELD_OUT)
    bits = own.bits_per_character + own.eos_bits_per_character
    assert evaluation.bits_per_character == pytest.approx(bits)
    assert evaluation.eos_share == pytest.approx(own.eos_bits_per_character / bits)


def test_bits_per_character_are_not_computed_again_where_they_are_recorded():
    tokens = tiny_tokens([*LEARNED, *HELD_OUT], num_validation=len(HELD_OUT))
    entry = {"is_best": True, "bits_per_character": 2.5, "eos_bits_per_character": 0.5}
    history = [entry, entry | {"is_best": False, "bits_per_character": 9.9}]
    recorded = {"history": history, "data_fingerprint": tokens.fingerprint}
    assert evaluated(training=recorded).bits_per_character == 2.5
    assert evaluated(training=recorded | {"data_fingerprint": "f00"}).bits_per_character != 2.5


def test_enough_held_out_tweets_get_a_score_by_surface_and_by_the_judge(tmp_path):
    folder = str(tiny_model_folder(tmp_path / "judge", "llama", seed=1))
    held_out, learned = sentences(50, 0), sentences(70, 1)
    found = evaluated(learned, held_out, 50, judge=folder)
    assert found.score.num_tweets == 50 and found.score.both.mean > 0.9, "the model is random"
    assert found.fluency.judge == folder
    human = likelihoods(judge(1, "llama"), held_out).bits_per_character
    assert found.fluency.human == pytest.approx(human)
    assert found.table().startswith("told apart from held-out tweets: ")


def test_a_start_that_cannot_be_had_leaves_out_the_judge_and_says_so():
    found = evaluated(judge="auto")
    assert found.fluency is None
    assert any("without a judge" in note and "no such folder" in note for note in found.notes)
    with pytest.raises(TweetgenError, match="no such folder"):
        evaluated(judge="no/such/folder")


def test_without_validation_part_training_tweets_stand_beside_the_drafts():
    found = evaluated(held_out=())
    assert found.human_source == "training tweets" and found.score is None
    assert found.bits_per_character is found.eos_share is None
    assert "copies" in found.model and "copies" not in found.human
    assert "bits per character" not in found.table()


def test_tokens_of_another_tokenizer_are_refused():
    with pytest.raises(TweetgenError, match="another model"):
        evaluated(tokenizer_json="{}")


def test_a_model_that_was_trained_on_other_data_is_said(evaluation):
    assert "other data" not in evaluation.table()
    assert "other data" in evaluated(training={"data_fingerprint": "f00"}).table()


def test_evaluation_is_plain_numbers_that_json_keeps(evaluation):
    numbers = dataclasses.asdict(evaluation)
    assert json.loads(json.dumps(numbers)) == numbers


def test_the_table_has_aligned_columns_and_every_number(evaluation: Evaluation):
    lines = evaluation.table().split("\n")
    start = lines.index("") + 1
    assert lines[start].split() == ["model", "held-out", "tweets"]
    assert len({len(line) for line in lines[start : start + len(ROWS) + 1]}) == 1
    assert evaluation.model.keys() == {key for key, _, _ in ROWS}
    assert f"{evaluation.bits_per_character:.3f}" in lines[1]
