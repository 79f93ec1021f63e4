"""Tweets in JSON, in all the forms that X and others give them."""

import gzip
import json
import math

import pytest

from tests.raw_files import batches, look, refused, texts, write
from tweetgen.reading import describe, sniffing
from tweetgen.reading.encoding import Encoding
from tweetgen.reading.tweet_json import JsonStream, text_of, tweets_in

HELLO = {"id": 1, "text": "hello there you"}
CUT = {"text": "a long one that was c…", "truncated": True}


@pytest.mark.parametrize(
    "tweet, expected",
    [
        (HELLO, "hello there you"),
        ({"full_text": "the whole of it", "text": "the wh…"}, "the whole of it"),
        ({**CUT, "extended_tweet": {"full_text": "a long one"}}, "a long one"),
        ({"text": "begins…", "note_tweet": {"text": "begins and ends"}}, "begins and ends"),
        ({"text": "RT @a: cu…", "retweeted_status": {"text": "cut"}}, "RT @a: cu…"),
        ({"text": None}, ""),
        ("a string", "a string"),
        ({"id": 1}, None),
        ({"text": 5}, None),
        (7, None),
    ],
)
def test_a_tweets_text_is_its_longest_own_form(tweet, expected):
    assert text_of(tweet, "text") == expected


@pytest.mark.parametrize(
    "value, num_tweets",
    [
        (HELLO, 1),
        ({"tweet": HELLO}, 1),
        ({"data": [HELLO, HELLO], "meta": {"result_count": 2}}, 2),
        ({"data": HELLO, "includes": {"users": [{"name": "x"}]}}, 1),
        ({"statuses": [HELLO], "search_metadata": {}}, 1),
        ([[HELLO], [HELLO, {"tweet": HELLO}]], 3),
        ({"delete": {"status": {"id": 1}}}, 0),
        ({"meta": {"result_count": 0}}, 0),
        ({"text": "mine", "data": {"x": 1}}, 1),
        ({"content": "mine", "data": {"x": 1}, "meta": {}}, 1),
        ({"content": "mine", "results": [{"x": 1}]}, 1),
    ],
)
def test_tweets_are_found_inside_what_wraps_them(value, num_tweets):
    assert len(list(tweets_in(value))) == num_tweets


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([HELLO] * 3),
        json.dumps([HELLO] * 3, indent=2) + ";\n",
        "\n".join([json.dumps(HELLO)] * 3),
        "\r\n\r\n".join([json.dumps(HELLO)] * 3) + "\r\n",
        "\n".join([json.dumps(HELLO, indent=2)] * 3),
        json.dumps({"data": [HELLO] * 3, "meta": {"a": [1, {"b": "}"}]}}),
        "\n".join([json.dumps({"data": [HELLO]})] * 3),
        json.dumps({"meta": {}, "data": [HELLO] * 3}, indent=1),
        json.dumps({"tweets": [HELLO] * 3}),
        json.dumps({"results": [HELLO] * 3}),
        json.dumps({"count": 3, "tweets": [{"tweet": HELLO}] * 3}),
        json.dumps({"data": {"tweets": [HELLO] * 3}}),
        json.dumps({"data": {"tweets": [HELLO] * 3}}, indent=1),
        "\ufeff" + json.dumps([HELLO] * 3),
        "window.YTD.tweets.part0 = " + json.dumps([{"tweet": HELLO}] * 3),
        "Grailbird.data.tweets_2015_06 = \n " + json.dumps([HELLO] * 3),
        json.dumps([HELLO["text"]] * 3),
    ],
)
def test_every_form_of_file_gives_its_tweets(tmp_path, content):
    assert texts(write(tmp_path, "a.dat", content)) == [HELLO["text"]] * 3


def test_a_key_is_found_by_name_or_given(tmp_path):
    tweet = {"rawContent": "hello there you", "renderedContent": "hello there", "source": "a b c"}
    path = write(tmp_path, "a.jsonl", "\n".join([json.dumps(tweet)] * 3))
    assert texts(path) == ["hello there you"] * 3
    assert texts(path, text_column="renderedContent") == ["hello there"] * 3
    assert describe(look(path)[0], 3) == "a.jsonl: JSON lines, UTF-8, column 'rawContent', 3 tweets"
    assert "no column 'body' (found: rawContent, renderedContent" in refused(
        path, text_column="body"
    )


@pytest.mark.parametrize(
    "content, message",
    [
        (
            '{"text": "a b"}\n\n{"text": "c d"\n{"text": "e f"}\n',
            "line 3 of a.json is not valid JSON",
        ),
        ('{"text": "a b"} {"text": "c d"}\n{"text": "e"}\n', "line 1 of a.json is not valid JSON"),
        ('[\n{"text": "a b"},\n{"text": }\n]', "line 3 of a.json is not valid JSON"),
        ('[{"text": "a b"},\n{"text": "c', "line 2 of a.json is not valid JSON"),
        ('[{"text": "a b"}', "a.json ends in the middle"),
        ('{"text": "a b"}\n{"id": 5}\n', "line 2 of a.json has no text under 'text'"),
        ('[{"text": "a b"},\n{"text": 5}]', "line 2 of a.json has no text under 'text'"),
        ('{"text": "a b"}\n' + "[" * 100_000, "line 2 of a.json is not valid JSON"),
        ('{"text": "a b"}\n{"id": ' + "9" * 5000 + "}\n", "line 2 of a.json is not valid JSON"),
        ("window.YTD.like.part0 = [ ]", "holds like.part0, not tweets"),
    ],
)
def test_what_is_broken_is_an_error_with_its_line(tmp_path, content, message):
    assert message in refused(write(tmp_path, "a.json", content))


def test_json_that_is_not_utf8_is_an_error_with_its_line(tmp_path):
    content = b'{"text": "hello you"}\n' * 100_000 + b'{"text": "caf\xe9"}\n'
    path = write(tmp_path, "a.jsonl", content)
    assert "line 100,001 of a.jsonl is not valid utf-8" in refused(path, encoding="utf-8")
    assert texts(path, encoding="cp1252")[-1] == "café"


@pytest.mark.parametrize("form", ["\n".join, lambda lines: f"[{','.join(lines)}]"])
def test_a_damaged_character_may_come_late_in_json_too(tmp_path, form):
    lines = [json.dumps({"text": "grüße von mir"}, ensure_ascii=False)] * 50_000
    content = form([*lines, '{"text": "cut ? here"}']).encode().replace(b"?", b"\xf0\x9f")
    path = write(tmp_path, "a.json", content)
    assert texts(path)[0] == "grüße von mir" and texts(path)[-1] == "cut \ufffd here"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_is_the_same_in_pieces_of_any_size(size):
    values = [{"a": [1, 2.5, "]}", {"b": None}], "é": '\\" \n'}, "x", 12, [3, 4], True]
    content = json.dumps(values, indent=1)
    pieces = (content[at : at + size] for at in range(0, len(content), size))
    found = list(JsonStream(pieces, "a.json"))
    assert [value for _, value in found] == values
    assert [line for line, _ in found][:2] == [2, 13]


def test_a_long_array_is_never_held_whole(tmp_path):
    path = write(tmp_path, "a.json", json.dumps({"data": [HELLO] * 50_000}))
    sizes = [len(batch.texts) for batch in batches(path)]
    assert sizes == [4096] * (50_000 // 4096) + [50_000 % 4096]
    assert len(sizes) == math.ceil(50_000 / 4096)


def test_packed_json_is_not_unpacked_twice(tmp_path, monkeypatch):
    looked_through = []
    monkeypatch.setattr(
        sniffing, "guess_encoding", lambda pieces, name: looked_through.append(name)
    )
    path = write(tmp_path, "a.jsonl.gz", gzip.compress(b'{"text": "as it is"}\n' * 9))
    monkeypatch.setattr(sniffing, "_encoding", lambda *arguments: Encoding("utf-8"))
    assert texts(path) == ["as it is"] * 9
    assert looked_through == []
