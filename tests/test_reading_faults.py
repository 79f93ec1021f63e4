"""Bad and odd input, by the list of faults: read exactly, or refused in one plain line."""

import bz2
import contextlib
import csv
import gzip
import io
import json
import lzma
import os
import resource
import socket
import time

import pytest

from tests.raw_files import frame, refused, texts, told, write, zipped
from tweetgen.errors import TweetgenError
from tweetgen.reading.encoding import BLOCK_BYTES

TABLE = 'id,text,label\n1,Good morning everyone,a\n2,"Rain, again",b\n3,"two\nlines",a\n'
TWEETS = ["Good morning everyone", "Rain, again", "two\nlines"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        pytest.param("missing.csv", None, "there is no file", id="R32-missing"),
        pytest.param("empty.csv", b"", "is empty", id="R32-empty"),
        pytest.param("bom.csv", b"\xef\xbb\xbf\r\n", "is empty", id="R32-only-a-mark"),
        pytest.param("head.csv", b"id,text\n", "has a header but no tweets", id="R32-header-only"),
        pytest.param("head.tsv", b"id\ttext", "has a header but no tweets", id="R32-header-no-end"),
        pytest.param("none.json", b" [ ] ", "holds no tweets", id="R32-empty-array"),
    ],
)
def test_a_file_without_tweets_is_named(tmp_path, name, content, message):
    path = str(tmp_path / name) if content is None else write(tmp_path, name, content)
    assert message in refused(path)
    assert name in refused(path)


def test_a_folder_that_is_no_archive_is_refused(tmp_path):
    write(tmp_path, "notes.csv", TABLE)
    assert "is a folder or zip without tweets" in refused(str(tmp_path))


def test_a_web_address_is_never_contacted(monkeypatch):
    def contacted(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", contacted)
    monkeypatch.setattr(socket, "getaddrinfo", contacted)
    assert "is a web address" in refused("https://example.org/tweets.csv")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = write(tmp_path, "secret.csv", TABLE)

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)  # the tests may run as root
    assert "secret.csv may not be read" in refused(path)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refused(str(tmp_path / "pipe"))


@pytest.mark.parametrize(
    "head, wanted, found",
    [
        pytest.param("id,body", "text", "(found: id, body)", id="R33-missing"),
        pytest.param("\ufeffid, body ", "text", "(found: id, body)", id="R33-mark-and-spaces"),
        pytest.param("text,text", "text", "2 columns called 'text'", id="R33-twice"),
        pytest.param("id,text", "3", "(found: id, text)", id="R33-position-too-high"),
    ],
)
def test_a_missing_column_lists_those_there_are(tmp_path, head, wanted, found):
    path = write(tmp_path, "a.csv", f"{head}\n1,Good morning everyone\n2,Rain again today\n")
    message = refused(path, text_column=wanted)
    assert found in message
    assert "--text_column" in message


@pytest.mark.parametrize("wanted", ["text", "TEXT", " text", "2"])
@pytest.mark.parametrize("head", ["id,text", "\ufeffid, text", "id,Text ", '"id","text"'])
def test_a_column_is_found_by_a_name_nearly_right(tmp_path, head, wanted):
    path = write(tmp_path, "a.csv", f"{head}\n1,Good morning everyone\n2,Rain again today\n")
    assert texts(path, text_column=wanted) == ["Good morning everyone", "Rain again today"]


def test_two_columns_of_one_name_are_told_apart_by_position(tmp_path):
    path = write(tmp_path, "a.csv", "text,text\nGood morning all,Guten Morgen alle\nYes,Ja\n")
    assert texts(path, text_column="2") == ["Guten Morgen alle", "Ja"]
    assert "several columns" in refused(path)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param("1,fine\n2,hello, you, there\n3,fine too\n", id="R34-one-row"),
        pytest.param("1,one, more\n2,hello, you\n3,and, again\n", id="R34-every-row"),
    ],
)
def test_an_unquoted_text_in_the_last_column_is_all_the_rest(tmp_path, rows):
    path = write(tmp_path, "a.csv", "id,text\n" + rows)
    expected = [row.split(",", 1)[1] for row in rows.splitlines()]
    assert texts(path) == expected
    num_joined = sum("," in text for text in expected)
    assert told(path)[1:] == [f"  {num_joined} rows had unquoted separators in the text"]


def test_too_many_fields_after_the_text_are_an_error_with_the_line(tmp_path):
    path = write(tmp_path, "a.csv", "text,label\nfine,a\nhello, you, there,b\nfine too,a\n")
    assert "line 3 of a.csv has 4 fields, expected 2. Quote the text" in refused(path)


@pytest.mark.parametrize(
    "above, below",
    [
        pytest.param("1,fine\n", "3,fine too\n", id="R35-short"),
        pytest.param('1,"fine, or\nso"\n' * 20_000, '3,"fine\ntoo"\n' * 20_000, id="R35-long"),
        pytest.param("1,fine\n", "", id="R35-last-line"),
    ],
)
def test_a_quote_that_never_closes_is_an_error_with_its_line(tmp_path, above, below):
    path = write(tmp_path, "a.csv", f'id,text\n{above}2,"never closed\n{below}')
    line = above.count("\n") + 2
    assert f"the quote opened near line {line:,} of a.csv never closes" in refused(path)


@pytest.mark.parametrize("separator", [",", ";", "	", "|"])
def test_a_separator_is_found(tmp_path, separator):
    content = io.StringIO()
    writer = csv.writer(content, delimiter=separator)
    writer.writerows([["id", "text", "x"], ["1", "a, b; c | d\te", "y"], ["2", "Rain; again", "z"]])
    path = write(tmp_path, "a.csv", content.getvalue())
    assert texts(path) == ["a, b; c | d\te", "Rain; again"]


@pytest.mark.parametrize(
    "content, said",
    [
        pytest.param(TABLE.encode(), "UTF-8", id="R36-utf8"),
        pytest.param(TABLE.encode("utf-8-sig"), "UTF-8", id="R36-utf8-mark"),
        pytest.param(TABLE.encode("utf-16"), "UTF-16", id="R36-utf16"),
        pytest.param(b"\xfe\xff" + TABLE.encode("utf-16-be"), "UTF-16", id="R36-utf16-big-endian"),
        pytest.param(TABLE.encode("utf-16-le"), "UTF-16", id="R36-utf16-no-mark"),
        pytest.param(TABLE.encode("utf-32"), "UTF-32", id="R36-utf32"),
        pytest.param(gzip.compress(TABLE.encode()), "UTF-8", id="R36-gz"),
        pytest.param(bz2.compress(TABLE.encode()), "UTF-8", id="R36-bz2"),
        pytest.param(lzma.compress(TABLE.encode()), "UTF-8", id="R36-xz"),
        pytest.param(zipped(a_csv=TABLE), "UTF-8", id="R36-zip"),
        pytest.param(zipped(a_csv_gz=gzip.compress(TABLE.encode())), "UTF-8", id="R36-gz-in-zip"),
    ],
)
def test_an_encoding_is_found_by_content_and_said(tmp_path, content, said):
    path = write(tmp_path, "tweets.dat", content)  # the suffix says nothing
    assert texts(path) == TWEETS
    assert f"CSV, {said}, column 'text', 3 tweets" in told(path)[0]


def test_western_bytes_are_cp1252_with_latin_1_for_its_holes(tmp_path):
    path = write(tmp_path, "a.csv", b"id,text\n1,caf\xe9 \x93quoted\x94 \x80 5\n2,hole \x81 here\n")
    assert texts(path) == ["café “quoted” € 5", "hole \x81 here"]
    assert "cp1252" in told(path)[0]


def test_the_first_western_byte_may_come_late(tmp_path):
    path = write(tmp_path, "a.csv", b"id,text\n" + b"1,plain enough\n" * 150_000 + b"2,caf\xe9\n")
    assert texts(path)[-1] == "café"


def test_a_damaged_character_does_not_turn_utf8_into_cp1252(tmp_path):
    rows = "1,Grüße aus Köln\n".encode() * 20 + b"2,cut \xf0\x9f\x98 here\n"
    path = write(tmp_path, "a.csv", b"id,text\n" + rows)
    assert texts(path)[0] == "Grüße aus Köln"
    assert texts(path)[-1] == "cut \ufffd here"
    assert "UTF-8 (partly damaged)" in told(path)[0]


def test_a_file_may_be_cut_inside_its_last_character(tmp_path):
    content = "id,text\n" + "1,Grüße aus Köln\n" * 20 + "2,cut é"
    path = write(tmp_path, "a.csv", content.encode()[:-1])
    assert texts(path)[-1] == "cut \ufffd"


def test_the_first_look_may_end_inside_a_character(tmp_path):
    start = b'window.YTD.tweets.part0 = [{"tweet": {"full_text": "'
    start += b"x" * (BLOCK_BYTES - 1 - len(start))
    path = write(tmp_path, "tweets.js", start + 'é"}}]'.encode())
    assert texts(path)[0].endswith("xé")


@pytest.mark.parametrize(
    "content, encoding, message",
    [
        pytest.param("1,a\n2,caf\xe9\n".encode("cp1252"), "utf-8", "line 2 of", id="R36-not-utf8"),
        pytest.param("1,a\n2,café\n".encode(), "ascii", "line 2 of", id="not-ascii"),
        pytest.param(b"1,a\n2,b\n", "utf-16", "not utf-16 but UTF-8", id="not-utf16"),
        pytest.param(b"1,a\n2,b\n", "latin-17", "no encoding", id="no-such"),
        pytest.param(b"1,a\n2,b\n", "rot13", "no encoding", id="no-text-encoding"),
        pytest.param(bytes(range(256)) * 4, "auto", "byte 0x00 at offset 0", id="R36-binary"),
        pytest.param(b"%PDF-1.7\n1 0 obj", "auto", "is a PDF", id="pdf"),
        pytest.param(("привет, " * 99).encode("cp1251"), "auto", "cp1251", id="cyrillic"),
    ],
)
def test_a_wrong_encoding_is_one_line_with_the_place(tmp_path, content, encoding, message):
    path = write(tmp_path, "a.txt", content)
    assert message in refused(path, encoding=encoding)


def test_an_encoding_may_be_given(tmp_path):
    path = write(tmp_path, "a.csv", "id,text\n1,привет всем друзьям\n".encode("cp1251"))
    assert texts(path, encoding="cp1251") == ["привет всем друзьям"]
    japanese = write(tmp_path, "b.csv", "id,text\n1,今日は、雨\n".encode("shift_jis"))
    assert texts(japanese, encoding="shift_jis") == ["今日は、雨"]


ODD_TWEETS = ["NA", "null", "nan", "None", "N/A", "007", "1e5", "True", "=1+1", "@bob", "#tag"]
ODD_TWEETS += [
    '"quoted"',
    'half "quoted',
    "two\nlines",
    "two\r\nlines",
    "a\rb",
    " padded ",
    "",
    "-",
]
ODD_TWEETS += ["nul\x00byte", "back\\slash", "a,b;c\td", "'single'", "b'bytes'", "\u2028 line"]


@pytest.mark.parametrize(
    "dialect",
    [
        pytest.param({}, id="R38-comma"),
        pytest.param({"quoting": csv.QUOTE_ALL}, id="R38-all-quoted"),
        pytest.param({"delimiter": ";", "lineterminator": "\n"}, id="R38-semicolon"),
        pytest.param({"delimiter": "\t"}, id="R38-tab"),
    ],
)
def test_odd_tweets_are_read_exactly_from_a_table(tmp_path, dialect):
    content = io.StringIO()
    writer = csv.writer(content, **dialect)
    writer.writerow(["id", "text", "label"])
    writer.writerows([number, text, "x"] for number, text in enumerate(ODD_TWEETS))
    assert texts(write(tmp_path, "a.csv", content.getvalue())) == ODD_TWEETS


def test_R38_odd_tweets_are_read_exactly_beside_a_row_that_breaks_the_rules(tmp_path):
    """Then each row of the block is looked at alone."""
    tweets = [*ODD_TWEETS[:11], "one, two, and three"]
    content = "id,text\n" + "".join(f"{number},{text}\n" for number, text in enumerate(tweets))
    assert texts(write(tmp_path, "a.csv", content)) == tweets


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("\n".join(json.dumps({"text": text}) for text in ODD_TWEETS), id="lines"),
        pytest.param(json.dumps([{"text": text} for text in ODD_TWEETS]), id="array"),
        pytest.param(json.dumps(ODD_TWEETS), id="strings"),
    ],
)
def test_odd_tweets_are_read_exactly_from_json(tmp_path, content):
    assert texts(write(tmp_path, "a.json", content)) == ODD_TWEETS


def test_odd_tweets_are_read_exactly_from_plain_text(tmp_path):
    lines = [text for text in ODD_TWEETS if text.strip() and "\n" not in text and "\r" not in text]
    assert texts(write(tmp_path, "a.txt", "\r\n".join(lines))) == lines


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.txt"])
@pytest.mark.parametrize("end", ["so long ", "so\nlong "])
def test_R39_a_field_of_3_mb_is_read(tmp_path, name, end):
    long = (end if name != "a.txt" else "so long ") * 400_000
    content = {
        "a.csv": f'id,text\n1,"{long}"\n2,hello you\n3,bye now\n',
        "a.jsonl": "\n".join(json.dumps({"text": text}) for text in [long, "hello you", "bye now"]),
        "a.json": json.dumps([{"text": text} for text in [long, "hello you", "bye now"]]),
        "a.txt": f"{long}\nhello you\nbye now\n",
    }[name]
    assert texts(write(tmp_path, name, content)) == [long, "hello you", "bye now"]


def test_a_row_without_end_is_refused_before_it_fills_the_memory(tmp_path):
    path = write(tmp_path, "a.csv", 'id,text\n1,"' + ("so long " * 100 + "\n") * 25_000)
    assert "a row of more than 16 MiB" in refused(path)


def test_a_million_rows_take_little_memory(tmp_path):
    path = write(tmp_path, "a.jsonl", b'{"text": "good morning to you"}\n' * 10**6)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(frame(path)) == 10**6
    growth_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert growth_kib < 150_000  # 20 MB of texts, 8 of their places, 8 of dates, pyarrow's own


NASTY = {  # about 300 kB each
    "quotes": '"' * 300_000,
    "opened": '"a' * 150_000,
    "commas": "," * 300_000,
    "opened fields": "id,text,label\n1," + ',"a' * 100_000,
    "opened rows": "id,text\n" + '1,"a b\n' * 45_000,
    "opened tab rows": "a\tb c\n" * 5_000 + '"a\t"b c\n' * 35_000,
    "inner quotes": "id,text,label\n" + '1,"a "b" c",d\n' * 23_000,
    "unquoted": "id,text\n" + '1,a, b, "c\n' * 30_000,
    "returns": "id,text\n1," + "\r" * 300_000,
    "backslashes": 'id,text,label\n1,"' + "\\" * 300_000,
    "digits": "id,text\n" + "1" * 300_000 + ",a\n",
    "spaces": "id,text\n1," + " " * 300_000,
    "names": "window.YTD.tweet." * 18_000,
    "assignments": "window.YTD.tweet = " * 15_000,
    "nested": '{"text": "a"}\n' + '{"text":' * 40_000,
    "brackets": '[{"text": "a"},' + "[" * 300_000,
    "wrappers": '{"data":[' * 33_000,
    "repr": "b'" * 150_000,
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_content_takes_linear_time(tmp_path, name):
    path = write(tmp_path, "a", NASTY[name])
    start = time.process_time()
    with contextlib.suppress(TweetgenError):
        texts(path)
    assert time.process_time() - start < 3  # measured: under 0.5; the quadratic take minutes


@pytest.mark.parametrize(
    "header, after", [("id,text", ""), ("id,text,date", ",2017-01-02")], ids=["last", "between"]
)
def test_quotes_of_a_text_of_several_lines_need_no_more_than_row_numbers(tmp_path, header, after):
    kinds = ["plain {}", 'he said "hi" to {}\nand, then, left', 'a "fine", long day {}', "b {}"]
    expected = [kinds[number % 4].format(number) for number in range(40)]
    rows = [f'{number},"{text}"{after}' for number, text in enumerate(expected)]
    assert texts(write(tmp_path, "a.csv", "\n".join([header, *rows]) + "\n")) == expected


@pytest.mark.parametrize(
    "header, row",
    [
        ("id,date,text,source", "{id},2020-01-02,{text},news"),
        ("id,text", "{number},{text}"),
        ('"id","user","text","likes"', '"{id}","ada_{number}",{text},"5"'),
        ("id;text;likes", "{id};{text};5"),
    ],
    ids=["between", "row-numbers", "all-quoted", "semicolons"],
)
def test_rows_begin_where_the_columns_before_the_text_say_so_if_all_have_raw_quotes(
    tmp_path, header, row
):
    expected = [f'He said "hi" to {n}\n\nand "bye", now; or so' for n in range(40)]
    rows = [
        row.format(number=number, id=10**17 + number, text=f'"{text}"')
        for number, text in enumerate(expected)
    ]
    assert texts(write(tmp_path, "a.csv", "\n".join([header, *rows]) + "\n")) == expected


def test_rows_cut_at_quotes_of_their_texts_are_refused_not_read(tmp_path):
    rows = "".join(f'ada,"one "{row}"\n"two", three"\n' for row in range(30))
    path = write(tmp_path, "a.csv", "user,text\n" + rows)
    assert "a.csv has quotes inside quoted texts" in refused(path)
    well = "".join(f'ada,"{row} is 5"" long"\n' for row in range(30))
    assert texts(write(tmp_path, "b.csv", "user,text\n" + well))[2] == '2 is 5" long'
