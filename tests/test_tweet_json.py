"""Tweets in JSON, in all the forms that X and others give them."""

import json
import re
import time

import pytest

from tests.raw_files import frame, refused, texts, told, write
from tweetgen.reading import json_values, read
from tweetgen.reading.json_values import JsonStream
from tweetgen.settings import ReadingSettings

HELLO = {"id": 1, "text": "hello there you"}
CUT = {"text": "a long one that was c…", "truncated": True}


@pytest.mark.parametrize(
    "tweet, expected",
    [
        (HELLO, "hello there you"),
        ({"full_text": "the whole of it", "text": "the wh…"}, "the whole of it"),
        ({**CUT, "extended_tweet": {"full_text": "a long one"}}, "a long one"),
        ({"text": "begins…", "note_tweet": {"text": "begins and ends"}}, "begins and ends"),
        ({"body": "begins so…", "long_object": {"body": "begins and ends"}}, "begins and ends"),
        ({"text": "RT @a: cu…", "retweeted_status": {"text": "cut off"}}, "RT @a: cu…"),
        ({"content": "", "reblog": {"content": "said by others"}}, "RT @someone: said by others"),
        ({"text": ["so ", {"type": "bold", "text": "nice"}, " it is"]}, "so nice it is"),
        ({"text": [{"type": "plain", "text": "so nice"}]}, "so nice"),
        ("a string", "a string"),
    ],
)
def test_a_tweets_text_is_its_longest_own_form(tmp_path, tweet, expected):
    path = write(tmp_path, "a.json", json.dumps([tweet] * 3))
    assert texts(path) == [expected] * 3


def test_a_long_text_may_lie_beside_the_object_with_its_start(tmp_path):
    note = {"note_tweet_results": {"result": {"text": "begins and ends"}}}
    results = [
        {"note_tweet": note, "legacy": {"full_text": "begins and…"}},
        {"legacy": {"full_text": "is short"}},
    ]
    entries = [{"content": {"tweet_results": {"result": result}}} for result in results]
    path = write(tmp_path, "a.json", json.dumps({"data": {"entries": entries}}))
    assert texts(path) == ["begins and ends", "is short"]
    thread = {"content": {"items": [{"tweet_results": {"result": results[1]}}]}}
    page = json.dumps({"data": {"entries": [*entries, thread]}})
    for content in (page, page + "\n" + page):
        found = texts(write(tmp_path, "b.json", content))
        assert set(found) == {"begins and ends", "is short"}
        assert len(found) == 3 * len(content.split("\n"))


def test_what_a_nested_list_has_beside_readable_texts_is_counted(tmp_path):
    odd = [{"text": 7}, {"text": {"plain": "a b c"}}]
    path = write(tmp_path, "a.json", json.dumps({"messages": [HELLO, *odd, HELLO]}))
    assert texts(path) == [HELLO["text"]] * 2
    assert told(path)[1] == "  left out: 2 records without a text"
    users = {"ada": {"hello": HELLO, "again": HELLO}, "bob": {"bye": HELLO}}
    assert told(write(tmp_path, "b.json", json.dumps(users)))[1].endswith("elsewhere (bob.bye)")


def test_a_long_text_is_never_a_tweet_of_its_own(tmp_path):
    tweets = [{"legacy": HELLO, "note_tweet": {"text": f"hello there you {n}"}} for n in range(3)]
    for content in (tweets, {"data": tweets}):
        path = write(tmp_path, "a.json", json.dumps(content))
        assert texts(path) == [f"hello there you {n}" for n in range(3)]


@pytest.mark.parametrize("key", ["messages", "posts", "content"])
def test_texts_in_pieces_are_told_from_lists_of_tweets(tmp_path, key):
    bare = "\n".join(json.dumps({key: [{"text": f"day {day}"}] * day}) for day in (1, 2))
    assert texts(write(tmp_path, "c.json", bare)) == ["day 1", "day 2", "day 2"]
    tweets = [{"date": f"2020-01-0{day}", "text": f"day {day}"} for day in range(1, 4)]
    path = write(tmp_path, "a.json", "\n".join(json.dumps({key: [tweet]}) for tweet in tweets))
    assert texts(path) == ["day 1", "day 2", "day 3"]
    tweets[1]["text"] = ["day ", {"type": "bold", "text": "2"}]
    assert texts(write(tmp_path, "b.json", json.dumps({key: tweets}))) == texts(path)


@pytest.mark.parametrize(
    "users",
    [
        {"ada": {"posts": {"-Na1": 2, "-Na2": 2}}, "bob": {"posts": {"-Nb1": 2}}},
        {"ada": {"-Na1": 2, "-Na2": 2}, "bob": {"-Nb1": 2}},
        {"ada": {"-Na1": 2, "odd": 2}, "bob": {"-Nb1": 2}},
        {"u1": {"2020": {"-Na1": 2}}, "u2": {"2020": {"-Nb1": 2}, "2021": {"-Nb2": 2}}},
        {
            "ada": {"posts": {"p1": 2, "p2": 2}, "about": {"text": "I am"}},
            "b1": {"posts": {"p3": 2}},
        },
    ],
    ids=[
        "named-level-between",
        "two-levels-of-ids",
        "a-name-among-ids",
        "three-levels-of-ids",
        "something-beside",
    ],
)
@pytest.mark.parametrize("wrapper", ["users", "data"])
def test_objects_keyed_by_ids_at_several_levels_are_all_read(tmp_path, users, wrapper):
    content = json.dumps({wrapper: users}).replace(": 2", ': {"text": "good morning"}')
    path = write(tmp_path, "a.json", content)
    assert texts(path) == ["good morning"] * 3
    assert not [line for line in told(path)[1:] if "posts" in line or "-N" in line]


@pytest.mark.parametrize("tweet", [{"id": 1}, {"text": 5}, 7])
def test_a_record_without_a_text_is_left_out(tmp_path, tweet):
    path = write(tmp_path, "a.json", json.dumps([HELLO, {"text": None}, tweet]))
    assert texts(path) == [HELLO["text"], ""]
    assert len(told(path)) == 2


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
    assert told(path) == ["a.jsonl: JSON lines, UTF-8, column 'rawContent', 3 tweets"]
    assert "no column 'body' (found: rawContent, renderedContent" in refused(
        path, text_column="body"
    )


@pytest.mark.parametrize(
    "content, message",
    [
        ('{"text": "a b"}\n' + '{"text": "c d"\n' * 4, "line 2 of a.json is not valid JSON"),
        (
            '{"text": "a b"}\n' + '{"id": 5, "x": 1}\n' * 4,
            "line 2 of a.json has no text under 'text'",
        ),
        ('[\n{"text": "a b"},\n{"text": }\n]', "line 3 of a.json is not valid JSON"),
        ('[{"text": "a b"}, ' + "[" * 100_000, "line 1 of a.json is not valid JSON"),
        ("window.YTD.like.part0 = [ ]", "holds like.part0, not tweets"),
        ("window.YTD.deleted_tweets.part0 = [ ]", "holds deleted_tweets.part0, not tweets"),
        ('{"id": 5, "name": "x"}', "no column that is plainly the tweets (found: id, name)"),
    ],
)
def test_what_is_broken_is_an_error_with_its_line(tmp_path, content, message):
    assert message in refused(write(tmp_path, "a.json", content))


TWO = '{"text": "all are here"}\n{"text": "none came"}\n'


@pytest.mark.parametrize(
    "content, said",
    [
        (TWO + '{"text": "e', "1 cut record"),
        (TWO + '{"text": "e\n{"text": "f g"}\n', "1 broken record"),
        ('[{"text": "all are here"},\n{"text": "c', "1 cut record"),
        (TWO + '{"limit": {"track": 1}}\n{"disconnect": {"code": 4}}\n', "2 notices"),
        ('{"_meta": {"a": 1}, "_readme": "made by me"}\n' + TWO, "1 record without a text"),
        (TWO + '{"type": "Announce", "object": "x"}\n' * 9, "9 'Announce' records"),
        (TWO + '{"index": {"_id": 1}}\n' * 9, "9 'index' records"),
        (TWO + '{"text": "a"}\n' + "[" * 100_000, "1 broken record"),
        (TWO + '{"id": ' + "9" * 5000 + "}\n", "1 broken record"),
    ],
)
def test_what_is_no_tweet_is_left_out_and_counted(tmp_path, content, said):
    path = write(tmp_path, "a.json", content)
    assert texts(path)[0] == "all are here"
    assert told(path)[1] == f"  left out: {said}"


@pytest.mark.parametrize("first", ["null", "ok", "42", '"started"', "Connected.\n\nGo:"])
@pytest.mark.parametrize(
    "content",
    [TWO * 2, json.dumps([HELLO] * 4), json.dumps([HELLO] * 4, indent=1)],
    ids=["lines", "array", "indented"],
)
def test_foreign_lines_above_json_are_left_out_and_counted(tmp_path, first, content):
    path = write(tmp_path, "a.json", f"{first}\n{content}")
    assert len(texts(path)) == 4
    assert re.match(r"  left out: \d (?:broken record|record without a text)", told(path)[1])


def test_many_foreign_lines_above_json_are_an_error_not_plain_text(tmp_path):
    path = write(tmp_path, "a.txt", "A-header: of the web\n" * 9 + json.dumps([HELLO] * 4))
    assert "line 1 of a.txt is not valid JSON (no object or array), and 8 more" in refused(path)


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
    found = [value for batch in JsonStream(pieces, "a.json") for value in batch]
    assert [value for _, value in found] == values
    assert [line for line, _ in found][:2] == [2, 13]


def test_a_long_array_is_never_held_whole():
    content = json.dumps({"data": [HELLO] * 10_000})
    sizes = [len(batch) for batch in JsonStream([content], "a.json")]
    assert sizes == [4096, 4096, 10_000 - 2 * 4096]


@pytest.mark.parametrize("key", ["text", "full_text"])
@pytest.mark.parametrize("odd", [{}, {"extended_tweet": {"full_text": "in full"}}, {"text": ""}, 7])
def test_tweets_at_the_top_are_read_alike_one_by_one_and_together(tmp_path, key, odd):
    tweets = [{key: f"day {day} it is", "date": f"2020-05-0{day}"} for day in range(1, 9)]
    if odd:
        tweets.append({**tweets[0], **odd} if isinstance(odd, dict) else odd)
    lines = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, tweets)))
    nested = write(tmp_path, "b.json", json.dumps({"all": {"tweets": tweets}}))
    assert texts(lines) == texts(nested)
    assert frame(lines)["date"].tolist() == frame(nested)["date"].tolist()
    assert frame(lines)["date"].dt.day.tolist()[:3] == [1, 2, 3]


def test_a_value_of_many_blocks_is_read_whole(tmp_path):
    tweets = [{"id": number, "text": "good morning " * 40} for number in range(36_000)]
    path = write(tmp_path, "a.json", json.dumps({"name": "ada", "messages": tweets}))
    start = time.process_time()
    assert len(texts(path)) == 36_000  # 19 MB
    assert time.process_time() - start < 5  # measured: 0.5


def test_a_value_too_long_for_the_memory_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(json_values, "MAX_VALUE", 2**20)
    tweets = [{"text": "good morning " * 40} for _ in range(6_000)]
    path = write(tmp_path, "a.json", "\n" + json.dumps({"messages": tweets}))
    assert "line 2 of a.json begins a value of JSON of more than 1 MiB. Save" in refused(path)


def test_half_of_a_surrogate_pair_is_left_out(tmp_path):
    path = tmp_path / "tweets.jsonl"
    path.write_text('{"text": "half \\ud83d a face"}\n{"text": "whole \\ud83d\\ude00 face"}\n')
    table = read([str(path)], ReadingSettings(), lambda line: None)
    assert table["text"].tolist() == ["half  a face", "whole \U0001f600 face"]
