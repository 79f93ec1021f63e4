"""Whole files through `read`: what is read and how it is said."""

import gzip
import io
import json
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.raw_files import frame, refused, texts, told, write, zipped
from tweetgen.errors import TweetgenError

TABLE = 'id,text,label\n1,Good morning everyone,a\n2,"Rain, again",b\n3,"two\nlines",a\n'
TWEETS = ["Good morning everyone", "Rain, again", "two\nlines"]


def test_plain_text_is_one_tweet_a_line(tmp_path):
    path = write(tmp_path, "a.txt", "Good morning, all\n\n  \r\nRain, again\r\n\x1a")
    assert texts(path) == ["Good morning, all", "Rain, again"]
    assert told(path) == ["a.txt: plain text, UTF-8, 2 tweets"]


@pytest.mark.parametrize(
    "content",
    [
        "{}\n<|endoftext|>\n{}\n<|endoftext|>\n{}",
        "{}\n\n</s>\n\n{}\n\n</s>\n\n{}\n\n</s>\n",
        "{}<|endoftext|>\n{}<|endoftext|>\n{}",
    ],
    ids=["lines-of-marks", "blank-lines-too", "at-the-end-of-lines"],
)
def test_texts_of_several_lines_stand_between_the_marks_of_a_training_file(tmp_path, content):
    expected = ["Good morning\nall\nof you", "Rain\nagain\nand again", "so\ntired\nof it"]
    assert texts(write(tmp_path, "a.txt", content.format(*expected))) == expected


def test_a_mark_in_a_sentence_is_no_mark_between_texts(tmp_path):
    lines = ["never write <s> in a text", "the token <|endoftext|>", *["plain words here"] * 20]
    assert texts(write(tmp_path, "a.txt", "\n".join(lines))) == lines


def test_a_table_is_described_in_one_line(tmp_path):
    path = write(tmp_path, "a.tsv", "id\tTweet Content\n" + "1\tGood morning all\n" * 1200)
    assert told(path) == ["a.tsv: TSV, UTF-8, column 'Tweet Content', 1,200 tweets"]


def test_the_frame_has_the_columns_that_later_stages_need(tmp_path):
    first = write(tmp_path, "b.csv", "id,created_at,text\n1,2020-05-01 23:59,Good morning all\n")
    second = write(tmp_path, "a.txt", "Plain words here\n")
    tweets = frame(first, second)
    assert list(tweets.columns) == ["text", "date", "source", "repaired"]
    assert [str(dtype) for dtype in tweets.dtypes] == [
        "str",
        "datetime64[ns, UTC]",
        "category",
        "bool",
    ]
    assert tweets["text"].tolist() == ["Good morning all", "Plain words here"]
    assert tweets["source"].tolist() == ["b.csv", "a.txt"]
    assert tweets["date"].notna().tolist() == [True, False]
    assert str(tweets["date"][0]) == "2020-05-01 00:00:00+00:00"


def test_sheets_of_the_same_columns_are_all_read_and_others_named(tmp_path):
    content = io.BytesIO()
    with pd.ExcelWriter(content) as workbook:
        for sheet, day in {"2019": "sun", "2020": "rain"}.items():
            rows = pd.DataFrame({"id": [1, 2], "text": [f"good {day} to you", f"bad {day} again"]})
            rows.to_excel(workbook, sheet_name=sheet, index=False)
        pd.DataFrame({"who": ["ada"]}).to_excel(workbook, sheet_name="About", index=False)
        pd.DataFrame().to_excel(workbook, sheet_name="Empty")
    path = write(tmp_path, "a.xlsx", content.getvalue())
    expected = ["good sun to you", "bad sun again", "good rain to you", "bad rain again"]
    assert texts(path) == expected
    assert told(path)[1] == "  left out: 1 sheet 'About'"


def test_cells_are_read_as_they_are_whatever_a_table_of_text_would_make_of_them(tmp_path):
    tweets = ['\\" back', 'half "q', "two\nlines", "a\rb", "good morning all", 'a "b" c', "x;y", ""]
    frame = pd.DataFrame({"n": range(32), "text": tweets * 4, "user": ["ada"] * 32})
    content = io.BytesIO()
    frame.to_parquet(content)
    assert texts(write(tmp_path, "a.parquet", content.getvalue())) == tweets * 4


def many(name: str, tweets: list[str]) -> str:
    """A file of several blocks."""
    rows = [f"{row},{tweet},x\n" for row, tweet in enumerate(tweets)]
    several = [f'{row},"first\n{tweet}",x\n' for row, tweet in enumerate(tweets)]
    broken = [f'{row},"a "b, c" {tweet}",x\n' for row, tweet in enumerate(tweets)]
    values = [{"text": tweet} for tweet in tweets]
    return {
        "a.csv": "id,text,label\n" + "".join(rows),
        "lines.csv": "id,text,label\n" + "".join(several),
        "broken.csv": "id,text,label\n" + "".join(broken),
        "a.tsv": "id\ttext\n" + "".join(f"{row}\t{t}\n" for row, t in enumerate(tweets)),
        "a.jsonl": "\n".join(map(json.dumps, values)),
        "a.json": json.dumps(values),
        "a.txt": "\n".join(tweets),
    }[name]


@pytest.mark.parametrize(
    "name", ["a.csv", "lines.csv", "broken.csv", "a.tsv", "a.jsonl", "a.json", "a.txt"]
)
def test_no_tweet_is_lost_where_a_block_ends(tmp_path, name):
    tweets = [f"tweet {'number ' * (row % 7)}{row}é" for row in range(60_000)]
    found = texts(write(tmp_path, name, many(name, tweets)))
    assert [text.split("\n")[-1].removeprefix('a "b, c" ') for text in found] == tweets


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
def test_a_date_is_the_day_as_it_is_written(tmp_path, form):
    rows = "".join(f"{day},tweet number {i}\n" for i, day in enumerate([*DATED[form], ""]))
    tweets = frame(write(tmp_path, "a.csv", "created_at,text\n" + rows))
    days = tweets["date"].dt.strftime("%Y-%m-%d").fillna("").tolist()
    assert days == ["2015-01-01", "2016-02-03", "2017-12-31", ""]


def test_dates_are_found_in_json_and_in_tables_without_a_header(tmp_path):
    tweets = [{"created_at": f"2020-05-0{day}", "text": f"day {day} it is"} for day in range(1, 6)]
    lines = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, tweets)))
    assert frame(lines)["date"].dt.day.tolist() == [1, 2, 3, 4, 5]
    rows = "".join(
        f"146782227{day},Mon Apr 0{day} 22:22:45 PDT 2009,go on {day}\n" for day in range(1, 10)
    )
    table = write(tmp_path, "b.csv", rows)
    assert frame(table)["date"].dt.day.tolist() == list(range(1, 10))


def test_dates_that_nobody_needs_may_be_unclear(tmp_path):
    path = write(tmp_path, "a.csv", "date,text\n1/2/17,which day\n")
    assert frame(path)["date"].isna().all()


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
        found = texts(path)
    except TweetgenError as error:
        assert "any" in str(error)
    else:
        assert all(type(text) is str for text in found)


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
    "archive_grailbird.zip": "",
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
    lines = told(str(path))
    column = re.search(r"column '?([^',]+)", lines[0])
    assert (column[1] if column else "") == TEXT_COLUMNS[name]
    assert lines[0].endswith(f", {row[1]} tweets")
