"""The copy guard: what counts as a copy, and that hashes are all it keeps."""

import random
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tweetgen.text.copies import (
    CopyGuard,
    build,
    canonical_key,
    copy_kinds,
    hash_keys,
    human_copy_rate,
    merge,
)
from tweetgen.text.entities import MARKS
from tweetgen.text.words import split_words

TRAINING = [
    "The heron on the canal has learned to open the bakery door.",
    "Nobody told the tram that it was Sunday, so it came on time for once.",
    "Good morning!",
    "🎉🎉🎉",
    "今日は川のそばで古い傘を三本も拾ったので友だちにあげた",
]
FIVE_OF_TRAM = "told the tram that it"


@pytest.fixture(scope="module")
def guard():
    return CopyGuard(build(TRAINING))


@pytest.mark.parametrize(
    "text, kind",
    [
        (TRAINING[0], "exact"),
        ("the heron on the CANAL has learned — to open the #bakery door!!", "exact"),
        ("RT @ann: Good morning https://t.co/abc", "exact"),
        ("🎉🎉🎉", ""),  # nothing that could be copied
        ("Somebody told the tram that it was Sunday, so it came on time for once.", "near"),
        (f"Our cat {FIVE_OF_TRAM}", ""),  # 1 of 3 runs
        (f"Yes {FIVE_OF_TRAM}", "near"),  # 1 of 2
        (FIVE_OF_TRAM, "near"),  # 1 of 1
        ("told the tram that", ""),  # four words
        ("The heron on the canal was Sunday, so it came on time for once.", "near"),  # 5 of 10
        ("ほら川のそばで古い傘を三本も拾ったので友だちにあげた", "near"),
        ("そばで古い傘を三本も買った", ""),  # 1 of 3
        ("A heron stood by the canal and waited for the tram on a Sunday.", ""),
        ("", ""),
    ],
)
def test_kind_of_a_text(guard, text, kind):
    assert guard.kind(text) == kind


def test_half_of_the_runs_must_be_in_one_tweet():
    guard = CopyGuard(build(["a b c d e f g x y z", "h i j k l m n o p q"]))
    half_of_two = "a b c d e f g 1 2 3 4 h i j k l m n"  # 3 runs of each, of 14 in all
    assert guard.kind(half_of_two) == ""
    assert guard.kind("a b c d e f g 1 2 3") == "near"  # 3 of 6


@pytest.mark.parametrize(
    "prompt, text, kind",
    [
        (TRAINING[0], f"{TRAINING[0]} Again and again.", ""),
        (TRAINING[0], f"{TRAINING[0]} 🎉", ""),
        ("The heron on the canal has learned to open the bakery", TRAINING[0], "exact"),
        ("Nobody told the tram that", "Nobody told the tram that it smelled of soup.", ""),
        ("Look:", "Look: told the tram that it was Sunday", "near"),
        ("Look: told the", "Look: told the tram that it was Sunday so it came", "near"),
        ("Look: told the tram that it was", "Look: told the tram that it was Sunday so it", ""),
    ],
)
def test_the_words_of_the_prompt_are_not_copied(guard, prompt, text, kind):
    assert guard.kind(text, prompt) == kind


def kind_by_comparing(text, training):
    """The near half of the definition, by comparing words with each training tweet."""

    def runs(words):
        return [tuple(words[i : i + 5]) for i in range(len(words) - 4)]

    own = runs(split_words(text))
    shares = [
        sum(run in set(runs(split_words(tweet))) for run in own) / len(own) for tweet in training
    ]
    return "near" if max(shares) >= 0.5 else ""


def test_kind_equals_comparing_with_each_tweet():
    choose = random.Random(7)

    def words(length):
        return [choose.choice("abc") for _ in range(length)]

    training = [" ".join(words(choose.randint(1, 30))) for _ in range(30)]
    pieces = [choose.choice(training).split()[choose.randint(0, 9) :] for _ in range(100)]
    drafts = [" ".join([*words(5), *piece, *words(choose.randint(0, 9))]) for piece in pieces]
    kinds = copy_kinds(build(training), drafts)
    assert kinds == [kind_by_comparing(draft, training) for draft in drafts]
    assert {"", "near"} == set(kinds)


def test_build_keeps_sorted_whole_numbers_and_no_words():
    hashes = build(TRAINING)
    kinds = {name: (tensor.dtype, len(tensor)) for name, tensor in hashes.items()}
    num_runs = 8 + 11 + 10 + 9  # words less 4; pairs of letters from the first and the second
    assert kinds == {
        "keys": (torch.int64, 5),
        "runs": (torch.int64, num_runs),
        "tweets": (torch.int32, num_runs),
    }
    assert all(torch.equal(hashes[name], hashes[name].sort().values) for name in ("keys", "runs"))


def test_build_gives_the_same_numbers_in_every_process():
    hashes = build(["one two three four five"])
    assert hashes["keys"].tolist() == [-3601101578452213294]
    assert hashes["runs"].tolist() == [4475916206259131367]


def test_a_run_twice_in_one_tweet_counts_once():
    guard = CopyGuard(build(["a b c d e x a b c d e"]))
    assert guard.kind("a b c d e 1 2 3 4") == ""  # 1 of 5


@pytest.mark.parametrize("texts", [[], ["two words"]])
def test_without_runs_nothing_is_near(texts):
    assert CopyGuard(build(texts)).kind("one two three four five six") == ""


def test_without_hashes_nothing_is_a_copy():
    assert CopyGuard({}).kind(TRAINING[0]) == ""


def test_human_copy_rate_is_the_share_of_copies():
    held_out = [TRAINING[2], "Something new under the old bridge today", FIVE_OF_TRAM, "Hello"]
    assert human_copy_rate(build(TRAINING), held_out) == 0.5
    assert human_copy_rate(build(TRAINING), []) == 0.0


def test_merged_hashes_know_the_tweets_of_both():
    first, second = build(TRAINING[:2]), build(TRAINING[2:])
    merged, whole = merge(first, second), build(TRAINING)
    assert all(torch.equal(merged[name], whole[name]) for name in whole)
    assert merge({}, second) is second


@pytest.mark.parametrize(
    "one, other",
    [
        ("RT @ann: So &amp; SO! http://x.com/1", "so so"),
        ("@bob It's ON", "its on."),
        ("Straße ÉTÉ", "STRASSE été"),
        ("“Quote” #tag", "quote tag"),
    ],
)
def test_copies_share_a_canonical_key(one, other):
    assert canonical_key(one) == canonical_key(other)


def test_short_texts_do_not_share_a_canonical_key():
    texts = ["!!!", "???", "❤️", "😂", "👍", "कि", "की", "1", "2", "https://t.co/a"]
    assert len({canonical_key(text) for text in texts}) == len(texts)


@settings(deadline=None, derandomize=True)
@given(
    text=st.text(
        st.characters(exclude_characters="@/&") | st.sampled_from("_ #aZ9.ßİé日👍🏽\u0301\ud83d")
    )
)
def test_a_canonical_key_is_what_one_pattern_leaves(text):
    words = re.sub(rf"[^\w{MARKS}]+|_", "", text.casefold())
    assert canonical_key(text) == (words or text)


def test_different_keys_have_different_hashes():
    keys = ["", "a", "b", "ab", "ba", "é", "e\u0301", "日本", "\ud83d", "a\0", "👍", "👍🏽"]
    assert len(set(hash_keys(keys).tolist())) == len(keys)
