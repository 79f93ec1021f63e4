"""X's weighted length on small cases of each rule, and that counting stays cheap."""

import subprocess
import sys
import time

import emoji
import pytest

from tests.conftest import PROJECT
from tweetgen.text.entities import MENTION, find_hashtags, find_urls
from tweetgen.text.length import weighted_length


@pytest.mark.parametrize(
    "text, length",
    [
        ("", 0),
        ("plain", 5),
        ("日本", 4),
        ("Привет", 6),
        ("€…™", 6),
        ("“ok” – ’", 8),
        ("A\u0301B", 2),  # NFC joins the accent
        ("a\r\nb", 3),
        ("Hi http://test.co", 26),
        ("http://x.io/" + "a" * 200, 23),
        ("go to x.com now", 33),
        ("e.g. 3.5 node.js", 16),  # no known top-level domain
        ("me@mail.com", 11),
        ("👨‍👩‍👧‍👦", 2),
        ("👍🏽👍🏽", 4),
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿🇩🇪", 4),
        ("1️⃣1⃣", 4),
        ("©®", 2),
        ("©️®️", 4),
        ("☺︎", 4),  # U+FE0E asks for text: two characters of 2
        ("i\ufe0f", 3),
        ("x.com/1️⃣", 27),  # the digit belongs to the link
    ],
)
def test_weighted_length_counts_as_x_does(text, length):
    assert weighted_length(text) == length


def test_weighted_length_of_every_emoji_is_two():
    others = {sequence for sequence in emoji.EMOJI_DATA if weighted_length(sequence) != 2}
    assert others == {"©", "®"}  # these two are emoji only with U+FE0F


def test_weighted_length_of_an_emoji_between_words_is_two():
    odd = [s for s in emoji.EMOJI_DATA if weighted_length(f"a {s} b") != 4 + weighted_length(s)]
    assert odd == []


def test_weighted_length_without_whole_emoji_counts_each_code_point():
    assert weighted_length("👨‍👩‍👧‍👦", whole_emoji=False) == 11


def texts_at(spans, text):
    return [text[start:end] for start, end in spans]


def test_entities_are_found_between_words():
    text = "@ann see x.com/a, #tag ＃日本語 and t.co/xy's #1"
    assert texts_at(find_urls(text), text) == ["x.com/a", "t.co/xy's"]
    assert texts_at(find_hashtags(text), text) == ["#tag", "＃日本語"]


def test_a_label_of_64_characters_makes_no_link():
    text = f"http://{'a' * 63}.com http://{'b' * 64}.com"
    assert texts_at(find_urls(text), text) == [f"http://{'a' * 63}.com"]


def test_counting_plain_text_does_not_import_emoji():
    code = (
        "import sys; from tweetgen.text.length import weighted_length;"
        "weighted_length('日本 “plain” x.com ❤'); sys.exit('emoji' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, timeout=30).returncode == 0


@pytest.mark.parametrize(
    "unit",
    ["a.", "http://a.co/(", "com日" + "b" * 60 + ".", "aé.", "@a", "#a", "🇦", "x.co?", "a-"],
)
def test_a_megabyte_is_counted_in_seconds(unit):
    text = unit * (1_000_000 // len(unit.encode()))
    start = time.process_time()
    weighted_length(text)
    sum(1 for _ in MENTION.finditer(text)), list(find_hashtags(text))
    assert time.process_time() - start < 4.0
