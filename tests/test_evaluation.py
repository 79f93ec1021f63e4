"""The numbers of an evaluation: worked examples, slow references, and one run of the whole."""

import dataclasses
import gzip
import json
import math
import random
from collections import Counter

import pytest
import torch

from tests.examples import model_content
from tests.tiny import END_ID, byte_tokenizer_json, tiny_model, tiny_tokens
from tweetgen.errors import TweetgenError
from tweetgen.evaluation import diversity
from tweetgen.evaluation import measures as ev
from tweetgen.settings import SamplingSettings
from tweetgen.text import copies as originality
from tweetgen.tokenizer import encoder


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Tiny tensors gain nothing from threads that wait for one another on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


TWEETS = (
    "the cat sat on the mat",
    "the cat sat on the sofa today",
    "a dog ran after the cat",
    "nothing here is like the rest, is it?",
    "the the the",
    "sofa",
    "",
    "sofa",
)


def random_tweets(num_tweets, seed=0):
    random_numbers = random.Random(seed)
    vocabulary = [f"w{i}" for i in range(12)]
    return [
        " ".join(random_numbers.choices(vocabulary, k=random_numbers.randrange(0, 15)))
        for _ in range(num_tweets)
    ]


def slow_self_bleu(texts):
    """BLEU-4 as Papineni et al. define it, against every other text, smoothed by method 1."""
    scores = []
    for i, text in enumerate(texts):
        words = diversity.split_words(text)
        others = [diversity.split_words(other) for other in texts[:i] + texts[i + 1 :]]
        precisions = []
        for order in range(1, 5):
            counts = Counter(diversity.ngrams(words, order))
            matched = sum(
                min(count, max(Counter(diversity.ngrams(other, order))[gram] for other in others))
                for gram, count in counts.items()
            )
            matched = matched or (0 if order == 1 else 0.1)
            precisions.append(matched / max(1, sum(counts.values())))
        closest = min((abs(len(other) - len(words)), len(other)) for other in others)[1]
        penalty = 1 if len(words) > closest else math.exp(1 - closest / max(1, len(words)))
        geometric = math.prod(precisions) ** 0.25
        scores.append(penalty * geometric if words else 0)
    return sum(scores) / len(scores)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't go, #NYC!", ["don't", "go", ",", "#", "nyc", "!"]),
        ("東京は cold", ["東", "京", "は", "cold"]),
        ("ÉTÉ été", ["été", "été"]),
        ("so 😀😀", ["so", "😀", "😀"]),
        (" \n", []),
    ],
)
def test_split_words_examples(text, words):
    assert diversity.split_words(text) == words


def test_ngrams_of_a_text_shorter_than_the_order_are_none():
    assert diversity.ngrams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert diversity.ngrams(["a", "b"], 3) == []


def test_distinct_worked_example():
    # 8 words, of them a b c d; 6 pairs, of them ab bc bd
    texts = ["a b c", "a b c", "b d"]
    assert diversity.distinct(texts, 1) == 4 / 8
    assert diversity.distinct(texts, 2) == 3 / 5
    assert diversity.distinct([], 1) == 0


def test_distinct_does_not_join_neighbouring_texts():
    assert (
        diversity.distinct(["a b", "a b"], 2) == 1 / 2
    )  # with b-a across the border it were 2 / 3


def test_repetition_within_counts_loops_and_no_repeats_between_texts():
    looping = "go go go go go go go"  # 4 four-grams, all the same
    assert diversity.repetition_within([looping]) == pytest.approx(3 / 4)
    assert diversity.repetition_within([looping, "a b c d e"]) == pytest.approx(3 / 8)
    assert diversity.repetition_within(["a b c d e", "a b c d e", "too short"]) == 0


def test_compression_ratio_is_bytes_per_gzip_byte():
    texts = ["hello world é", "hello again"]
    joined = "\n".join(texts).encode()
    assert diversity.compression_ratio(texts) == len(joined) / len(gzip.compress(joined, mtime=0))
    assert diversity.compression_ratio(["same words every time"] * 50) > 10
    assert diversity.compression_ratio([]) == 0


def test_self_bleu_equals_the_slow_reference():
    assert diversity.self_bleu(TWEETS) == pytest.approx(slow_self_bleu(list(TWEETS)), abs=1e-12)
    for seed in range(5):
        texts = random_tweets(12, seed)
        assert diversity.self_bleu(texts) == pytest.approx(slow_self_bleu(texts), abs=1e-12)


def test_self_bleu_of_equal_tweets_is_one_and_of_unrelated_ones_zero():
    assert diversity.self_bleu(["one two three four five"] * 3) == pytest.approx(1)
    assert diversity.self_bleu(["one two three four", "five six seven eight"]) == 0
    assert diversity.self_bleu(["only one"]) == 0


def test_self_bleu_clips_by_the_most_frequent_use_in_one_other_text():
    # "b b b b c" against "b b a a a": b twice of 4 times, c never -> unigrams 2/5; pairs bb 1 of 4;
    # longer ones only smoothed: 0.1/3 and 0.1/2. The other way round: 2/5, 1/4, 0.1/3, 0.1/2.
    expected = (2 / 5 * 1 / 4 * 0.1 / 3 * 0.1 / 2) ** 0.25
    assert diversity.self_bleu(["b b b b c", "b b a a a"]) == pytest.approx(expected)


def measured(texts, ended=None, **changes):
    known = {"limit": 280, "num_pooled": len(texts), "hashes": None, "words": None}
    return ev.measure(texts, ended, ev.Reference(**known | changes))


def test_measure_rates_are_shares_of_tweets_with_at_least_one():
    metrics = measured(["#a #b hi", "@you 😀 https://x.com/a", "plain", "#1 a@b.c example"])
    assert (metrics.hashtags, metrics.mentions, metrics.links, metrics.emoji) == (1 / 4,) * 4


def test_measure_counts_length_as_x_does():
    texts = ["東" * 140, "東" * 141, "a" * 280, "go https://x.com/" + "a" * 300]
    metrics = measured(texts)
    assert metrics.within_limit == 3 / 4
    assert metrics.mean_length == (280 + 282 + 280 + 26) / 4
    assert measured(texts, limit=0).within_limit == 1


def test_measure_usable_needs_an_end_a_text_the_length_and_originality():
    trained_on = "we saw the old harbour lights go out one by one"
    near = "we saw the old harbour lights go out at dawn"  # 4 of its 6 runs of five words
    texts = ["fine words", "not ended", " ", "x" * 281, trained_on.upper() + "!", near]
    hashes = originality.build([trained_on])
    metrics = measured(texts, [True, False, True, True, True, True], hashes=hashes)
    assert metrics.usable == 1 / 6
    assert metrics.ended == 5 / 6
    assert metrics.empty == metrics.exact_copies == metrics.near_copies == 1 / 6


def test_measure_new_words_are_those_in_no_training_tweet():
    words = {"old", "harbour"}
    metrics = measured(["Old harbour, old HARBOR 1!", "haha"], words=words)
    assert metrics.new_words == 2 / 5


def test_measure_of_training_tweets_says_nothing_of_copies():
    metrics = measured(["some words"])
    assert metrics.ended is metrics.exact_copies is metrics.near_copies is metrics.usable is None
    assert metrics.new_words is None


def test_measure_takes_diversity_of_the_pool_only():
    texts = [*random_tweets(30), *["again and again and again"] * 30]
    pooled, whole = measured(texts[:30]), measured(texts, num_pooled=30)
    for name in ("distinct_1", "distinct_2", "compression_ratio", "self_bleu"):
        assert getattr(whole, name) == getattr(pooled, name)
    assert measured(texts).self_bleu > pooled.self_bleu


LEARNED = ("rain on the pier again", "the ferry is late", "tea, then the tide tables")
HELD_OUT = ("fog at dawn", "gulls won: 3–0", "é", "low tide, no chips", "rain on the pier again")


def ids_of(text):
    return encoder(byte_tokenizer_json()).encode(text, add_special_tokens=False).ids


def evaluated(learned=LEARNED, held_out=HELD_OUT, num_samples=6, **changes):
    tokens = tiny_tokens([*learned, *held_out], num_validation=len(held_out))
    training = {"data_fingerprint": tokens.fingerprint}
    model_file = model_content() | {"originality": originality.build(learned), "training": training}
    settings = SamplingSettings(batch_size=4)
    return ev.evaluate(model_file | changes, tokens, settings, num_samples, device="cpu")


@pytest.fixture(scope="module")
def evaluation():
    return evaluated()


def test_evaluate_bits_per_character_are_those_of_one_tweet_at_a_time(evaluation):
    nats = eos_nats = 0.0
    for text in HELD_OUT:
        row = torch.tensor([[END_ID, *ids_of(text), END_ID]])
        with torch.no_grad():
            log_probabilities = tiny_model()(row).logits[0, :-1].log_softmax(-1)
        losses = -log_probabilities.gather(1, row[0, 1:, None])[:, 0]
        nats, eos_nats = nats + float(losses.sum()), eos_nats + float(losses[-1])
    characters = sum(len(text) for text in HELD_OUT)
    expected = nats / math.log(2) / characters
    assert evaluation.bits_per_character == pytest.approx(expected, rel=1e-5)
    assert evaluation.eos_share == pytest.approx(eos_nats / nats, rel=1e-4)


def test_evaluate_shows_human_copies_and_new_words_beside_the_model(evaluation):
    human = evaluation.human
    assert (human.exact_copies, human.near_copies) == (1 / 5, 0)
    # fog at dawn gulls won é low no chips, of 3 + 2 + 1 + 4 + 5 words
    assert human.new_words == 9 / 15


def test_evaluate_compares_equally_many_tweets_of_both_sides():
    evaluation = evaluated(num_samples=7)
    assert (evaluation.model.texts, evaluation.human.texts, evaluation.num_pooled) == (7, 5, 5)
    assert evaluation.human_source == "held-out tweets"
    few = evaluated(num_samples=3)
    assert (few.model.texts, few.human.texts, few.num_pooled) == (3, 3, 3)


def test_evaluate_without_validation_part_shows_training_tweets_and_no_bits():
    evaluation = evaluated(held_out=())
    assert evaluation.human_source == "training tweets"
    assert evaluation.bits_per_character is evaluation.eos_share is None
    assert evaluation.human.exact_copies is evaluation.human.new_words is None
    assert evaluation.model.exact_copies is not None
    assert "training tweets" in evaluation.table()
    assert "bits per character" not in evaluation.table()


def test_evaluate_refuses_tokens_of_another_tokenizer():
    with pytest.raises(TweetgenError, match="another model"):
        evaluated(tokenizer_json="{}")


def test_evaluate_says_when_the_model_was_trained_on_other_data(evaluation):
    assert "other data" not in evaluation.table()
    assert "other data" in evaluated(training={"data_fingerprint": "f00"}).table()


def test_evaluation_is_plain_numbers_that_json_keeps(evaluation):
    numbers = dataclasses.asdict(evaluation)
    assert json.loads(json.dumps(numbers)) == numbers
    assert numbers["model"]["distinct_2"] == evaluation.model.distinct_2


def test_evaluation_table_has_aligned_columns_and_every_number(evaluation):
    lines = evaluation.table().split("\n")
    assert lines[0].split() == ["model", "held-out", "tweets"]
    assert len({len(line) for line in lines[: len(ev.ROWS) + 1]}) == 1
    assert {field for _, field, _ in ev.ROWS} == {
        field.name for field in dataclasses.fields(ev.TextMetrics)
    }
    assert f"{evaluation.bits_per_character:.3f}" in lines[-1]


def test_evenly_spaced_reaches_over_all_texts():
    assert ev.evenly_spaced("abcdefghij", 4) == ["a", "c", "f", "h"]
    assert ev.evenly_spaced("abc", 5) == ["a", "b", "c"]
