"""Whole files through find_sources and read_batches: what is read and how it is said."""

import dataclasses
import gzip
import json
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.raw_files import batches, look, refused, texts, write, zipped
from tweetgen.errors import TweetgenError
from tweetgen.reading import describe, find_sources, read_batches
from tweetgen.settings import ReadingSettings

TABLE = 'id,text,label\n1,Good morning everyone,a\n2,"Rain, again",b\n3,"two\nlines",a\n'
TWEETS = ["Good morning everyone", "Rain, again", "two\nlines"]


def test_plain_text_is_one_tweet_a_line(tmp_path):
    path = write(tmp_path, "a.txt", "Good morning, all\n\n  \r\nRain, again\r\n\x1a")
    assert texts(path) == ["Good morning, all", "Rain, again"]
    assert describe(look(path)[0], 2) == "a.txt: plain text, UTF-8, 2 tweets"


def test_a_table_is_described_in_one_line(tmp_path):
    path = write(tmp_path, "a.tsv", "id\tTweet Content\n" + "1\tGood morning all\n" * 3)
    source = look(path)[0]
    assert describe(source, 14640) == "a.tsv: TSV, UTF-8, column 'Tweet Content', 14,640 tweets"


def test_a_source_can_be_sent_to_another_process(tmp_path):
    (source,) = look(write(tmp_path, "a.csv", TABLE), since="")
    assert pickle.loads(pickle.dumps(source)) == source


def test_several_files_are_several_sources_in_the_order_given(tmp_path):
    first = write(tmp_path, "b.csv", TABLE)
    second = write(tmp_path, "a.txt", "Plain words here\n")
    assert texts(first, second) == [*TWEETS, "Plain words here"]
    assert [source.name for source in look(first, second)] == ["b.csv", "a.txt"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.txt", "multi.csv"])
@pytest.mark.parametrize("num_shares", [2, 5])
def test_batches_are_the_same_for_any_number_of_shares(tmp_path, name, num_shares):
    tweets = [f"tweet number {number}" for number in range(10_000)]
    table = "".join(f"{row},{tweet},x\n" for row, tweet in enumerate(tweets))
    multi = "".join(f'{row},"first\n{tweet}",x\n' for row, tweet in enumerate(tweets))
    content = {
        "a.csv": "id,text,label\n" + table,
        "multi.csv": "id,text,label\n" + multi,
        "a.jsonl": "\n".join(json.dumps({"text": tweet}) for tweet in tweets),
        "a.json": json.dumps([{"text": tweet} for tweet in tweets]),
        "a.txt": "\n".join(tweets),
    }[name]
    (source,) = look(write(tmp_path, name, content))
    whole = list(read_batches(source, ReadingSettings()))
    assert [text.split("\n")[-1] for batch in whole for text in batch.texts] == tweets
    assert len(whole) >= 3
    shared = [
        batch
        for share in range(num_shares)
        for batch in read_batches(source, ReadingSettings(), share, num_shares)
    ]
    assert sorted(shared) == whole


STRAY = [f"{row},{row % 2},src,plain tweet" for row in range(1, 40)]
STRAY[7:9] = ['8,0,src," opened here', '9,0,src,closed there"']
STRAY[20] = '21,0,src,"never closed'
BLOCKS = {
    "table": "id,text,label\n" + '1,"Rain, again\nand ""again""",x\n2,plain,y\n\n' * 20,
    "stray quotes": "\n".join(["ItemID,Sentiment,Source,SentimentText", *STRAY]),
    "raw quotes": 'pos\t"unbalanced\nneg\tplain\npos\t"whole"\nneg\tthe "end"\n' * 20,
    "text": "Good morning, all\n\nRain, again\r\n" * 20,
    "lines": '{"text": "one\\ntwo"}\n\n{"text": "é"}\n' * 20,
}


@pytest.mark.parametrize("form", BLOCKS)
def test_where_blocks_end_does_not_matter(tmp_path, form):
    (source,) = look(write(tmp_path, "a.dat", BLOCKS[form]))
    expected = [text for batch in read_batches(source, ReadingSettings()) for text in batch.texts]
    assert len(expected) >= 39
    for size in range(1, 200):
        small = read_batches(dataclasses.replace(source, batch_bytes=size), ReadingSettings())
        assert [text for batch in small for text in batch.texts] == expected


# --- dates ---------------------------------------------------------------------------------------

DATED = {
    "iso": ["2015-01-01T08:00:00Z", "2016-02-03 04:05", "2017/12/31"],
    "twitter": [
        "Thu Jan 01 08:00:00 +0000 2015",
        "Wed Feb 03 04:05:00 +0000 2016",
        "Sun Dec 31 23:00:00 PST 2017",
    ],
    "day first": ["1/1/15", "3/2/16", "31/12/17"],
    "month first": ["1/1/2015", "2/3/2016", "12/31/2017"],
    "epoch": ["1420100000", "1454472300000", "1514750000"],
}


@pytest.mark.parametrize("form", DATED)
def test_only_days_between_since_and_until_are_read(tmp_path, form):
    rows = "".join(f"{day},tweet number {i}\n" for i, day in enumerate([*DATED[form], ""]))
    path = write(tmp_path, "a.csv", "created_at,text\n" + rows)
    (batch,) = batches(path, since="2016-02-03", until="2017-12-30")
    assert (batch.texts, batch.outside) == (["tweet number 1"], 3)
    (batch,) = batches(path, since="2015-01-01", until="2017-12-31")
    assert (len(batch.texts), batch.outside) == (3, 1)  # no date: outside


def test_dates_are_found_in_json_and_in_tables_without_a_header(tmp_path):
    tweets = [{"created_at": f"2020-05-0{day}", "text": f"day {day} it is"} for day in range(1, 6)]
    lines = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, tweets)))
    assert texts(lines, since="2020-05-05") == ["day 5 it is"]
    rows = "".join(
        f"146782227{day},Mon Apr 0{day} 22:22:45 PDT 2009,go on {day}\n" for day in range(1, 10)
    )
    table = write(tmp_path, "b.csv", rows)
    assert texts(table, until="2009-04-02") == ["go on 1", "go on 2"]


@pytest.mark.parametrize(
    "content, settings, message",
    [
        ("id,text\n1,no date here\n", {"since": "2020-01-01"}, "no dates that can be read"),
        ("date,text\n1/2/17,which day\n", {"since": "2020-01-01"}, "read in two ways"),
        ("just text here\nand here\n", {"until": "2020-01-01"}, "no columns"),
        ("date,text\n2020-01-01,a day\n", {"since": "01.02.2020"}, "Write it as YYYY-MM-DD"),
        ("date,text\n2020-01-01,a day\n", {"since": "2021-01-01", "until": "2020-01-01"}, "after"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(tmp_path, content, settings, message):
    assert message in refused(write(tmp_path, "a.csv", content), **settings)


# --- anything at all -----------------------------------------------------------------------------

PIECES = ['"', '""', ",", "\t", ";", "\n", "\r\n", "\r\r\n", "\r", "\x00", "\x1a", "\\", "\ufeff"]
PIECES += ["[", "]", "{", "}", ":", '{"text": "', '"}\n', "id,text\n", "text", "1", "a b c", "é"]
PIECES += ["window.YTD.tweets.part0 = ", "2020-01-01", "null", "b'x'", "\u2028"]
CONTENTS = st.binary(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=60).map(
    "".join
).map(str.encode)


@given(CONTENTS, st.sampled_from(["plain", "gz", "zip", "utf-16", "cut"]))
@hypothesis_settings(max_examples=300, deadline=5000)
def test_any_bytes_give_texts_or_a_plain_error(tmp_path_factory, content, packing):
    if packing == "gz":
        content = gzip.compress(content)
    elif packing == "zip":
        content = zipped(a_csv=content)
    elif packing == "utf-16":
        content = content.decode("utf-8", "replace").encode("utf-16")
    elif packing == "cut":
        content = zipped(a_csv=content)[:-5]
    path = write(tmp_path_factory.getbasetemp(), "any", content)
    try:
        found = batches(path)
    except TweetgenError as error:
        assert "any" in str(error)
    else:
        assert all(type(text) is str for batch in found for text in batch.texts)


# --- real files ----------------------------------------------------------------------------------

TEXT_COLUMNS = {
    "neiltyson_tweets.csv": "text",
    "neiltyson.txt": "",
    "election-tweets-2016.tab": "Content",
    "airline.csv": "text",
    "airline.csv.zip": "text",
    "rconference.csv.gz": "text",
    "sentiment140_headerless.csv": "6",
    "smile_headerless.csv": "2",
    "sentimenttext_unquoted_latin1.csv": "SentimentText",
    "disaster_cp1252.csv": "text",
    "disaster_macroman.csv": "text",
    "corona_crcrlf.csv": "OriginalTweet",
    "politicians_crlf.csv": "text",
    "koume_ja.csv": "tweet",
    "arabic_rawquotes.tsv": "2",
    "arabic_utf16.tsv": "2",
    "stocknet_goog.jsonl": "text",
    "leaders_2017_05.json": "text",
    "archive_grailbird.zip": "text",
}


@pytest.mark.parametrize("name", TEXT_COLUMNS)
def test_every_real_file_gives_the_number_of_tweets_in_its_list(outside_data, name):
    path = outside_data / "data" / name
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    listed = (outside_data / "data" / "README.md").read_text("utf-8")
    row = re.search(
        rf"^\| [^|]*(?<![\w.-]){re.escape(name)}(?![\w.]) *[^|]*\| *([\d,]+) *\|", listed, re.M
    )
    assert row is not None
    (source,) = find_sources([str(path)], ReadingSettings())
    assert source.column == TEXT_COLUMNS[name]
    num_tweets = sum(len(batch.texts) for batch in read_batches(source, ReadingSettings()))
    assert num_tweets == int(row[1].replace(",", ""))
