"""Files of words: what an entry finds, and what is wrong with a file."""

import re
import time

import pytest

from tweetgen.errors import TweetgenError
from tweetgen.text.wordlist import load_wordlist


def wordlist(folder, content):
    path = folder / "words.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_wordlist(path)


@pytest.mark.parametrize(
    "entry, text, found",
    [
        ("cat", "The CAT!", True),
        ("cat", "category concat", False),
        ("cat", "cat_food", False),
        ("#ad", "an #ad.", True),
        ("#ad", "an #adventure", False),
        ("$XYZ", "sold $xyz today", True),
        ("green tea", "Green \n tea", True),
        ("green tea", "green team", False),
        ("don't", "I DON’T", True),
        ("日本", "私は日本人", True),
        ("cafe\u0301", "the Café", True),
        ("कि", "किताब", False),
        ("/colou?r/", "colorful", True),
        (r"/\bsoon\b/", "sooner", False),
        ("/", "and/or", True),
        ("a.b", "axb", False),
    ],
)
def test_an_entry_finds_whole_words_in_any_case(tmp_path, entry, text, found):
    assert bool(wordlist(tmp_path, entry).search(text)) == found


def test_any_entry_is_enough_and_blank_lines_are_none(tmp_path):
    words = wordlist(tmp_path, "\ufeffcat\r\n\r\n  cats eye \r\n/x+y/\r\n")
    assert [bool(words.search(text)) for text in ("a cats eye", "xxy", "dog", "")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "has no entries"),
        (b"caf\xe9\n", "is not UTF-8"),
        (b"ok\n/(/\n", "line 2: not a regular expression"),
        (rb"/(a)\1/", r"line 1: \1 to \9 cannot be used"),
        (b"/(?P<x>a)/", "named groups cannot be used"),
        (b"/a*/", "is found in every text"),
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path, content, message):
    with pytest.raises(TweetgenError, match=re.escape(message)):
        wordlist(tmp_path, content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TweetgenError, match=r"cannot read .*nowhere\.txt"):
        load_wordlist(tmp_path / "nowhere.txt")


def test_many_words_cost_little(tmp_path):
    words = wordlist(tmp_path, "\n".join(f"zq{number:04}word" for number in range(2_000)))
    start = time.process_time()
    assert not words.search("some other words here " * 10_000)
    assert time.process_time() - start < 1.0
