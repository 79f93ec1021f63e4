"""X's official conformance cases (twitter-text), read from the outside data folder.

All extraction cases but those of $cashtags, which tweetgen leaves alone, 22 + 2 counting cases of
config v3 and 20 of v2 pass, so no list of misses is kept: a miss fails its section.
"""

import pytest
import yaml

from tweetgen.text.entities import (
    MENTION,
    REPLY,
    find_hashtags,
    find_urls,
)
from tweetgen.text.length import weighted_length

NUM_CASES = {
    "mentions": 23,
    "mentions_with_indices": 3,
    "mentions_or_lists_with_indices": 5,
    "replies": 13,
    "urls": 91,
    "urls_with_indices": 10,
    "urls_with_directional_markers": 2,
    "tco_urls_with_params": 5,
    "hashtags": 65,
    "hashtags_from_astral": 3,
    "hashtags_with_indices": 8,
    "cashtags": 8,
    "cashtags_with_indices": 2,
}


def _mentions(text):
    return [
        {"screen_name": match[1], "indices": [match.start(), match.end(1)]}
        for match in MENTION.finditer(text)
    ]


def _lists(text):
    return [
        {"screen_name": match[1], "list_slug": match[2] or "", "indices": [*match.span()]}
        for match in MENTION.finditer(text)
    ]


def _reply(text):
    match = REPLY.match(text)
    return match[1] if match else None


def _with_indices(name, find, sign_length):
    return lambda text: [
        {name: text[start + sign_length : end], "indices": [start, end]}
        for start, end in find(text)
    ]


def _extract(find, sign_length):
    return lambda text: [text[start + sign_length : end] for start, end in find(text)]


EXTRACT = {
    "mentions": lambda text: [match[1] for match in MENTION.finditer(text)],
    "mentions_with_indices": _mentions,
    "mentions_or_lists_with_indices": _lists,
    "replies": _reply,
    "urls": _extract(find_urls, 0),
    "urls_with_indices": _with_indices("url", find_urls, 0),
    "urls_with_directional_markers": _with_indices("url", find_urls, 0),
    "tco_urls_with_params": _extract(find_urls, 0),
    "hashtags": _extract(find_hashtags, 1),
    "hashtags_from_astral": _extract(find_hashtags, 1),
    "hashtags_with_indices": _with_indices("hashtag", find_hashtags, 1),
}


@pytest.fixture(scope="module")
def conformance(outside_data):
    def load(name):
        text = (outside_data / "conformance" / name).read_text(encoding="utf-8")
        return yaml.load(text, yaml.CSafeLoader)["tests"]

    return load


def test_every_extraction_case_of_x_passes(conformance):
    cases = conformance("extract.yml")
    assert {section: len(rows) for section, rows in cases.items()} == NUM_CASES
    misses = [
        (section, case["text"])
        for section in EXTRACT
        for case in cases[section]
        if EXTRACT[section](case["text"]) != case["expected"]
    ]
    assert misses == []


@pytest.mark.parametrize(
    "section, num_cases, whole_emoji",
    [
        pytest.param("WeightedTweetsWithDiscountedEmojiCounterTest", 22, True, id="v3"),
        pytest.param("UnicodeDirectionalMarkerCounterTest", 2, True, id="v3-bidi"),
        pytest.param("WeightedTweetsCounterTest", 20, False, id="v2"),
    ],
)
def test_every_counting_case_of_x_passes(conformance, section, num_cases, whole_emoji):
    cases = conformance("validate.yml")[section]
    assert len(cases) == num_cases
    misses = [
        case["text"]
        for case in cases
        if weighted_length(case["text"], whole_emoji=whole_emoji)
        != case["expected"]["weightedLength"]
    ]
    assert misses == []
