"""Which column holds the tweets and which the dates."""

import pytest

from tweetgen.errors import TweetgenError
from tweetgen.reading.columns import Sample, find_date, find_text, prose_score

TWEETS = [
    "Good morning everyone, how are you?",
    "Rain again #weather",
    "RT @ada: so tired",
    "Ok then",
]
BIOS = [
    "Mother of two, baker, poet",
    "I tweet about trains and buses",
    "News and views",
    "He/him, no DMs",
]
IDS = ["570306133677760513", "570301130888122368", "570301083672813571", "570300817074462722"]
LINKS = ["https://example.org/a b", "<a href='x'>Web Client</a>", "http://t.co/a", "<a>iPhone</a>"]


def sample(**columns: list[str]) -> Sample:
    names = [name.replace("__", " ") for name in columns]
    return Sample(names, list(columns.values()), "a.csv")


def headerless(*columns: list[str]) -> Sample:
    return Sample([""] * len(columns), columns, "a.csv")


NAMES_MET = """text,tweet,Tweet,Text,TweetText,tweet_text,full_text,content,Content,SentimentText,
OriginalTweet,message,twitts,Feed, text,Tweet Content"""


@pytest.mark.parametrize("name", NAMES_MET.split(","))
def test_the_text_is_found_under_every_name_met(name):
    found = Sample(["id", "description", name, "source"], [IDS, BIOS, TWEETS, LINKS], "a.csv")
    assert find_text(found) == 2


@pytest.mark.parametrize(
    "decoy", ["Clean_tweet", "lemmatized_text", "description", "name", "source"]
)
def test_a_decoy_is_not_taken_for_the_text(decoy):
    longer = [tweet * 2 for tweet in TWEETS]
    assert find_text(Sample([decoy, "body text"], [longer, TWEETS], "a.csv")) == 1


def test_a_column_of_numbers_called_tweet_is_not_the_text():
    assert find_text(sample(tweet=IDS, post=TWEETS)) == 1


def test_a_changed_text_is_taken_where_there_is_no_other():
    assert find_text(sample(id=IDS, clean_text=TWEETS)) == 1


def test_tweets_that_look_like_numbers_are_found_by_name():
    assert find_text(sample(id=IDS, text=["007", "NA", "1e5", ""])) == 1


def test_without_a_header_prose_is_found_among_dates_links_and_places():
    dates = ["Mon Apr 06 22:19:45 PDT 2009", "2009-04-06 10:00", "6/4/09", "Apr 6, 2009"]
    places = ["New York", "Ohio, US", "Rome", "At home"]
    assert find_text(headerless(IDS, dates, LINKS, places, TWEETS)) == 4


@pytest.mark.parametrize(
    "columns, message",
    [
        (headerless(IDS, TWEETS, BIOS), "2 and 3"),
        (sample(remark=TWEETS, note=BIOS), "'remark' and 'note'"),
        (sample(id=IDS, description=BIOS), "found: id, description"),
        (sample(a=IDS, b=IDS), "found: a, b"),
    ],
)
def test_a_choice_that_is_not_clear_is_left_to_the_user(columns, message):
    with pytest.raises(TweetgenError, match="--text_column") as error:
        find_text(columns)
    assert message in str(error.value)


def test_many_columns_are_listed_in_a_short_message():
    with pytest.raises(TweetgenError) as error:
        find_text(Sample([f"column {i}" for i in range(500)], [IDS] * 500, "a.csv"), "body")
    assert len(str(error.value)) < 500


def test_prose_counts_each_text_once_and_no_links():
    assert prose_score(["ok then"] * 10) < prose_score(["ok then", "not yet"])
    assert prose_score(LINKS[1:]) == 0
    assert prose_score(["リモ～ト打ち合わせで", "チクショー！！"]) > 5


@pytest.mark.parametrize(
    "columns, expected",
    [
        (sample(text=TWEETS, created_at=["2015-02-24 11:35:52 -0800"] * 4), (1, "")),
        (sample(date=["14/2/17", "1/2/17"], text=TWEETS[:2]), (0, "day")),
        (sample(Date=["2/14/2017", "1/2/17"], text=TWEETS[:2]), (0, "month")),
        (sample(id=["1467822272"] * 2, when=["10:15 AM - 3 Oct 2018"] * 2), (1, "")),
        (sample(date=["?", "?"], timestamp=["1489363200", "1489363200000"]), (1, "")),
    ],
)
def test_dates_are_found_by_name_and_content(columns, expected):
    assert find_date(columns, True) == expected


def test_an_id_is_not_taken_for_seconds_since_1970():
    with pytest.raises(TweetgenError, match="no dates"):
        find_date(headerless(["1467822272", "1467822273"], TWEETS[:2]), True)
    assert find_date(headerless(["1467822272", "1467822273"], TWEETS[:2]), False) == (-1, "")
