"""Tables as people have them: separators, headers, quoting and widths found by looking."""

import pytest

from tests.raw_files import refused, texts, told, write

TWEETS = ["Good morning everyone", "Rain, again", "so tired of this", "what a game"]


@pytest.mark.parametrize(
    "content",
    [
        "date\ttext\n1,5\tGood morning everyone\n2,5\tRain, again\n",
        "sep=;\r\nid;text\r\n1;Good morning everyone\r\n2;Rain, again\r\n",
        "id|text\n1|Good morning everyone\n2|Rain, again\n",
        "\n\nid,text\n\n1,Good morning everyone\n\n2,Rain, again\n\n",
        "Time\tAuthor\tContent\ntime\tdiscrete\tstring\n\tclass\tmeta\n"
        "09:00\tAda\tGood morning everyone\n09:01\tBob\tRain, again\n",
        "id,text\r\r\n1,Good morning everyone\r\r\n2,\"Rain, again\"\r\r\n",
        "id,text\r1,Good morning everyone\r2,Rain, again\r",
        'id,text\r1,Good morning everyone\r2,"Rain, again"\r3,"two\nlines"\r',
        '"","text"\n"1","Good morning everyone"\n"2","Rain, again"\n',
        'id, text\n1, "Good morning everyone"\n2, "Rain, again"\n3, "more, of, it"\n',
        "id,text,,\n1,Good morning everyone,,\n2,\"Rain, again\",,\n",
        "id,text\n1,Good morning everyone\n2,\"Rain, again\"",
        "text,label\nGood morning everyone,1\n\"Rain, again\",0\n\x1a",
        "id,text\n12345678901234567890123,Good morning everyone\n1,Rain, again\n",
        'id, "text"\n1, "Good morning everyone"\n2, "Rain, again"\n',
        '"n"\t"note"\n"1"\tGood morning everyone\n"2"\tRain, again\n"3"\t"a" b c\n',
    ],
    ids=["tab", "sep-line", "pipe", "blank-lines", "three-headers", "cr-cr-lf", "cr", "cr-and-lf",
         "r-names",
         "padded", "empty-columns", "no-end", "dos-end", "huge-id",
         "padded-header", "raw-tab-header"],
)  # fmt: skip
def test_a_table_gives_its_tweets(tmp_path, content):
    assert texts(write(tmp_path, "a.dat", content))[:2] == TWEETS[:2]


@pytest.mark.parametrize(
    "rows, column",
    [
        (["0,1467,Mon Apr 06 22:19:45 PDT 2009,NO_QUERY,ada,{}"], 6),
        (["4,14678,2009-04-06,q,bob,{}", "0,14679,2009-04-07,q,ada,{}"], 6),
        (['6118,"{}",happy', '6119,"{}",nocode'], 2),
        (["pos\t{}", "neg\t{}"], 2),
        (["neg\t{}\t0"], 2),
    ],
)
def test_without_a_header_the_first_tweet_is_not_lost(tmp_path, rows, column):
    tweets = [tweet.replace(",", "") for tweet in TWEETS] * 3
    lines = [rows[i % len(rows)].format(tweet) for i, tweet in enumerate(tweets)]
    path = write(tmp_path, "a.csv", "\n".join(lines))
    assert texts(path) == tweets
    assert f"no header, column {column}" in told(path)[0]


@pytest.mark.parametrize(
    "head", ["Feed,Handle", "Kommentar;Nr", "文本\tid", "my note,n", "#,My own note"]
)
def test_a_header_of_unknown_names_is_no_tweet(tmp_path, head):
    separator = next(mark for mark in ",;\t" if mark in head)
    rows = [f"{tweet.replace(',', '')}{separator}{i}" for i, tweet in enumerate(TWEETS)]
    if head.startswith("#"):
        rows = [separator.join(reversed(row.split(separator))) for row in rows]
    path = write(tmp_path, "a.csv", "\n".join([head, *rows]))
    assert texts(path) == [tweet.replace(",", "") for tweet in TWEETS]


@pytest.mark.parametrize(
    "content, expected",
    [
        ("Well, yes\nNo, never, ever\nI said so\nOh, and you?\n", 4),
        ("2,000 people came\nthen rain\n1,000 left\n", 3),
        ('"Be yourself" - Oscar\n"Hello, you," she said\nand he, "no"\n', 3),
        ("one|two\nthree; four\n", 2),
        ("a, b\nc, d\n", 2),
        ("text me, status update\nno commas here\nnone here\n", 3),
        ("".join(f"good day {number} to you, friends\n" for number in range(8)), 8),
    ],
)
def test_lines_with_commas_are_plain_text_all_the_same(tmp_path, content, expected):
    path = write(tmp_path, "a.txt", content)
    assert texts(path) == content.splitlines()
    assert told(path) == [f"a.txt: plain text, UTF-8, {expected} tweets"]


@pytest.mark.parametrize(
    "content, expected",
    [
        ('text\n"Rain, again"\nplain\n"a ""word"""\n', ["Rain, again", "plain", 'a "word"']),
        ("tweet\nRain, again, today\nplain\n", ["Rain, again, today", "plain"]),
        ('"Rain, again"\n"two\nlines"\n"plain"\n', ["Rain, again", "two\nlines", "plain"]),
        ('plain\n"Rain, again"\nplain too\n', ["plain", "Rain, again", "plain too"]),
    ],
)
def test_one_column_is_a_table_if_it_is_quoted_like_one(tmp_path, content, expected):
    assert texts(write(tmp_path, "a.csv", content)) == expected


def test_raw_quotes_between_tabs_are_characters(tmp_path):
    lines = [
        'pos\t"unbalanced',
        "neg\tplain",
        'pos\t"whole"',
        'neg\tand he "said',
        'pos\t"a" b "c"',
    ]
    path = write(tmp_path, "a.tsv", "\n".join(lines))
    assert texts(path) == [line.split("\t")[1] for line in lines]


def test_raw_quotes_between_tabs_may_begin_late(tmp_path):
    lines = ["1\tplain enough"] * 20_000 + [
        '2\t"unbalanced',
        "3\tplain",
        '4\tat the end"',
        "5\tx y",
    ]
    assert texts(write(tmp_path, "a.tsv", "\n".join(["id\ttext", *lines])))[-4:] == [
        '"unbalanced',
        "plain",
        'at the end"',
        "x y",
    ]


def test_a_text_of_two_lines_in_one_column_is_one_text(tmp_path):
    path = write(tmp_path, "a.tsv", 'text\n"two\nlines"\nplain\n"again\ntwo"\n')
    assert texts(path) == texts(path, format="tsv") == ["two\nlines", "plain", "again\ntwo"]


def test_tab_separated_texts_may_be_quoted_and_of_two_lines(tmp_path):
    path = write(tmp_path, "a.tsv", 'id\ttext\n1\t"two\nlines"\n2\t"a ""word"""\n3\tplain\n')
    assert texts(path) == ["two\nlines", 'a "word"', "plain"]


def test_unquoted_texts_may_hold_quotes_that_look_as_if_they_matched(tmp_path):
    lines = [f"{row},{row % 2},src,plain tweet" for row in range(1, 30)]
    lines[7:9] = ['8,0,src," opened here', '9,0,src,closed there"']
    path = write(tmp_path, "a.csv", "\n".join(["ItemID,Sentiment,Source,SentimentText", *lines]))
    assert texts(path) == [line.split(",", 3)[3] for line in lines]


def test_a_text_of_two_lines_may_look_like_rows(tmp_path):
    """Real: a tweet's second line was "70,000 in need of food, water and medicine"."""
    rows = [
        f'{10**17 + row},2020-01-01,"#Storm\n70,000 in need, food, water",news' for row in range(9)
    ]
    path = write(tmp_path, "a.csv", "\n".join(["id,date,text,source", *rows]))
    assert texts(path) == ["#Storm\n70,000 in need, food, water"] * 9


@pytest.mark.parametrize(
    "text, expected",
    [
        (r'"He said \"hi\" to me, twice"', 'He said "hi" to me, twice'),
        ('"He said "hi" to me"', 'He said "hi" to me'),
        ('5" of snow', '5" of snow'),
        ('"a ""quoted"" word"', 'a "quoted" word'),
        ("bare\rreturn", "bare\rreturn"),
        ('"bare\rreturn"', "bare\rreturn"),
    ],
)
def test_quotes_are_read_as_they_were_meant(tmp_path, text, expected):
    rows = "".join(f"{row},{text},label\n" for row in range(3))
    assert texts(write(tmp_path, "a.csv", "id,text,label\n" + rows)) == [expected] * 3


def test_row_numbers_without_a_name_do_not_shift_the_columns(tmp_path):
    rows = "".join(f'"{row}",12{row},"Good morning {row}"\n' for row in range(1, 8))
    path = write(tmp_path, "a.csv", '"id","text"\n' + rows)
    assert texts(path) == [f"Good morning {row}" for row in range(1, 8)]
    assert len(told(path)) == 1


def test_quoted_row_numbers_of_chosen_rows_do_not_shift_the_columns(tmp_path):
    rows = "".join(f'"{row}","12{row}","Good morning {row}"\n' for row in (3, 7, 8))
    path = write(tmp_path, "a.csv", '"id","text"\n' + rows)
    assert texts(path) == ["Good morning 3", "Good morning 7", "Good morning 8"]


def test_the_line_below_the_header_of_a_markdown_table_is_no_tweet(tmp_path):
    rows = "| 1 | Good morning |\n| 2 | Rain, again |\n"
    path = write(tmp_path, "a.md", "| id | text |\n|----|:---:|\n" + rows)
    assert [text.strip() for text in texts(path)] == ["Good morning", "Rain, again"]


def test_a_single_row_with_quoted_fields_is_a_table(tmp_path):
    assert texts(write(tmp_path, "a.csv", '0,"Good morning, all",x\n')) == ["Good morning, all"]


def test_cells_that_a_spreadsheet_left_out_at_the_end_are_empty(tmp_path):
    path = write(tmp_path, "a.csv", "id,text,place,lang\n1,Good morning,here,en\n2,Rain again\n")
    assert texts(path) == ["Good morning", "Rain again"]


@pytest.mark.parametrize(
    "content, message",
    [
        ("user,text,label\nada,hello\nworld,x\n", "line 2 of a.csv has 2 fields, expected 3"),
        ("id,text,label\n1,hello\nworld,x\n", "line 2 of a.csv has 2 fields, expected 3"),
        ('id,text\n1,fine\n2,"a" b "c", d"\n3,"x" y\n4,z, "\n5', "line 6 of a.csv has 1 fields"),
        ("id,text,label\n1,a,b\n2,a,b,c\n", "line 3 of a.csv has 4 fields, expected 3"),
    ],
)
def test_rows_that_do_not_fit_are_errors_with_their_line(tmp_path, content, message):
    assert message in refused(write(tmp_path, "a.csv", content))


def test_a_list_of_yaml_is_no_table(tmp_path):
    rows = "".join(f'- id: {row}\n  text: "good morning to {row}"\n' for row in range(9))
    assert "begin like" in refused(write(tmp_path, "a.yaml", "tweets:\n" + rows))


WEATHER = ["wind, rain and sun", "snow, ice and fog", "hail, and so cold"]


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"separator": ";"}, WEATHER),
        ({"format": "txt"}, [f"{row};{text}" for row, text in enumerate(WEATHER)]),
        ({"format": "csv", "separator": ","}, [text.split(",")[1] for text in WEATHER]),
        ({"format": "csv", "text_column": "2"}, WEATHER),
    ],
)
def test_format_and_separator_may_be_given(tmp_path, settings, expected):
    rows = "".join(f"{row};{text}\n" for row, text in enumerate(WEATHER))
    assert texts(write(tmp_path, "a", rows), **settings) == expected


@pytest.mark.parametrize("separator", ["tab", r"\t", "\t"])
def test_a_tab_may_be_given_in_three_ways(tmp_path, separator):
    path = write(tmp_path, "a", "id\ttext\n1\tGood morning\n")
    assert texts(path, separator=separator) == ["Good morning"]
    assert texts(path, format="tsv") == ["Good morning"]


@pytest.mark.parametrize("separator", ["", "::", '"', "\n"])
def test_a_separator_must_be_one_character(tmp_path, separator):
    path = write(tmp_path, "a.csv", "id,text\n1,Good morning\n")
    assert "is not one character" in refused(path, separator=separator)
