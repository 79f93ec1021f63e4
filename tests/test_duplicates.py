"""Copies are found, and only copies."""

import random
import time

import numpy as np
import pytest

from tweetgen.preprocessing import near as near_module
from tweetgen.text.keys import canonical_key, hash_keys

WORDS = ["the", "a", "lamp", "tram", "bell", "coat", "hall", "drawer", "found", "lost", "quiet"]


def near(keys, threshold):
    signed = near_module.signatures(keys, near_module.signature_type(threshold))

    def keys_of(candidates):
        return {int(place): keys[place] for place in np.flatnonzero(candidates)}

    return near_module.near_copies(signed, threshold, keys_of).tolist()


def near_one_by_one(keys, threshold):
    """The definition: each compared with all before it."""
    return [
        any(near_module.similarity(earlier, key) >= threshold for earlier in keys[:place])
        for place, key in enumerate(keys)
    ]


def variants(num_texts, seed):
    """Sentences and more or less altered copies of earlier ones."""
    choose = random.Random(seed)
    texts = []
    for _ in range(num_texts):
        if texts and choose.random() < 0.6:
            words = choose.choice(texts).split()
            for _ in range(choose.randint(1, 4)):
                words[choose.randrange(len(words))] = choose.choice(WORDS)
        else:
            words = choose.choices(WORDS, k=choose.randint(4, 40))
        texts.append(" ".join(words))
    laughs = ["ha" * length for length in range(1, 20)]  # from "hahaha" on the same 5-grams
    return list(dict.fromkeys(map(canonical_key, texts + laughs)))


def test_of_equal_keys_the_first_stays():
    keys = ["b", "a", "b", "c", "a", "b"]
    first = near_module.first_copies(hash_keys(keys))
    assert first.tolist() == [True, True, False, True, False, False]


def test_different_keys_have_different_hashes():
    keys = ["", "a", "b", "ab", "ba", "é", "e\u0301", "日本", "\ud83d", "a\0", "👍", "👍🏽"]
    assert len(set(hash_keys(keys).tolist())) == len(keys)


def test_no_texts_have_no_copies():
    assert near_module.first_copies(hash_keys([])).tolist() == []
    assert near([], 0.8) == []


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.95, 1.0])
def test_near_copies_are_those_of_the_definition(threshold):
    keys = variants(300, seed=round(threshold * 100))
    expected = near_one_by_one(keys, threshold)
    assert near(keys, threshold) == expected
    assert sum(expected) > 10


def test_similarity_counts_five_character_grams():
    assert near_module.similarity("abcdefgh", "abcdefgx") == 3 / 5  # abcde bcdef cdefg in both
    assert near_module.similarity("abcdef", "abcdef") == 1
    assert near_module.similarity("abcde", "fghij") == 0


def test_short_texts_are_near_nothing_but_themselves():
    keys = ["a", "b", "ab", "abc", "abcd", "abcde", "日", "本", "👍", "👎"]
    assert near(keys, 0.5) == [False] * len(keys)


def test_no_text_is_near_through_the_end_of_its_neighbour():
    keys = ["onetwo", "threefour", "threeonetwo", "fourthree"]
    assert near(keys, 0.5) == near_one_by_one(keys, 0.5)


def test_signatures_do_not_depend_on_their_neighbours():
    keys = variants(50, seed=3)
    kind = near_module.signature_type(0.8)
    together = near_module.signatures(keys, kind)
    alone = np.concatenate([near_module.signatures([key], kind) for key in keys])
    assert (together == alone).all()


@pytest.mark.parametrize("filled_in", ["{} {}", "the same text every time {}"])
def test_thousands_of_alike_texts_take_seconds(filled_in):
    choose = random.Random(0)
    template = f"Now playing on Lamp Radio: {filled_in}. Listen to us all day and all night long"
    texts = [template.format(choose.random(), choose.choice(WORDS)) for _ in range(2000)]
    keys = list(dict.fromkeys(map(canonical_key, texts)))
    start = time.perf_counter()
    found = near(keys, 0.8)
    assert time.perf_counter() - start < 10
    assert len(found) == len(keys) and not found[0]
