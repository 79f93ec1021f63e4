"""Compressed files and archives of X: read in place, in order, each tweet once, bombs refused."""

import gzip
import json
import os
import tracemalloc
import zipfile

import pytest

from tests.raw_files import frame, refused, texts, told, write, zipped
from tweetgen.reading import archives

CSV = "id,text\n1,Good morning everyone\n2,Rain again\n"


def part(number: int, *tweets: str) -> str:
    """A file of a newer archive."""
    content = [{"tweet": {"full_text": tweet, "id_str": "1"}} for tweet in tweets]
    return f"window.YTD.tweets.part{number} = " + json.dumps(content, indent=2)


def month(*tweets: str) -> str:
    """A file of a classic archive."""
    return "Grailbird.data.tweets_2015_06 = \n" + json.dumps([{"text": tweet} for tweet in tweets])


NEWER = {
    "data/tweets-part10.js": part(10, "sixth here"),
    "data/tweets-part2.js": part(2, "fifth here"),
    "data/tweets-part1.js": part(1, "third here", "fourth here"),
    "data/tweets.js": part(0, "first here", "second here"),
    "data/deleted-tweets.js": "window.YTD.deleted_tweets.part0 = []",
    "data/like.js": 'window.YTD.like.part0 = [{"like": {"fullText": "not mine"}}]',
    "data/manifest.js": "window.__THAR_CONFIG = {}",
    "__MACOSX/data/._tweets.js": "\x00\x05",
}
IN_ORDER = [f"{number} here" for number in ("first", "second", "third", "fourth", "fifth", "sixth")]
CLASSIC = {
    "data/js/tweets/2015_06.js": month("of june 2015"),
    "data/js/tweets/2014_12.js": month("of december 2014", "and more"),
    "tweets.csv": 'tweet_id,text\n1,of june 2015\n2,of december 2014\n3,"and more"\n',
    "index.html": "<html>",
}
CLASSIC_IN_ORDER = ["of december 2014", "and more", "of june 2015"]


def zip_of(tmp_path, members: dict[str, str]) -> str:
    path = tmp_path / "mine.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return str(path)


def folder_of(tmp_path, members: dict[str, str]) -> str:
    for name, content in members.items():
        write(tmp_path / "mine", name, content)
    return str(tmp_path / "mine")


@pytest.mark.parametrize("pack", [zip_of, folder_of])
@pytest.mark.parametrize("members, expected", [(NEWER, IN_ORDER), (CLASSIC, CLASSIC_IN_ORDER)])
def test_an_archive_gives_each_tweet_once_and_in_order(tmp_path, pack, members, expected):
    path = pack(tmp_path, members)
    assert texts(path) == expected
    name = os.path.basename(path)
    assert told(path)[0] == f"{name}: X archive, UTF-8, {len(expected)} tweets"
    assert texts(path, format="archive") == expected


def test_empty_files_of_an_archive_do_not_stop_it(tmp_path):
    empty = {
        "data/note-tweet.js": "window.YTD.note_tweet.part0 = [ ]",
        "data/community-tweet.js": "window.YTD.community_tweet.part0 = [ ]",
    }
    assert texts(zip_of(tmp_path, NEWER | empty)) == IN_ORDER
    assert "mine.zip holds no tweets" in refused(zip_of(tmp_path, empty))


@pytest.mark.parametrize("pack", [zip_of, folder_of])
def test_an_archive_may_lie_one_folder_deeper(tmp_path, pack):
    members = {f"twitter-2020-01-01/{name}": content for name, content in NEWER.items()}
    assert texts(pack(tmp_path, members)) == IN_ORDER


@pytest.mark.parametrize("name", ["tweets.js", "tweet.js", "tweets-part1.js", "renamed"])
def test_a_single_file_of_an_archive_is_enough(tmp_path, name):
    path = write(tmp_path, name, part(0, "first here", "second here"))
    assert texts(path) == ["first here", "second here"]
    assert "X archive" in told(path)[0]


def test_the_table_of_a_classic_archive_is_read_where_its_months_are_missing(tmp_path):
    path = folder_of(tmp_path, {"tweets.csv": CLASSIC["tweets.csv"]})
    assert sorted(texts(path)) == sorted(CLASSIC_IN_ORDER)


def test_nothing_is_unpacked_to_disk(tmp_path, monkeypatch):
    path = zip_of(tmp_path, NEWER)
    monkeypatch.chdir(tmp_path)
    texts(path)
    assert os.listdir(tmp_path) == ["mine.zip"]


def test_a_zip_of_several_tables_is_several_sources(tmp_path):
    path = write(tmp_path, "a.zip", zipped(b_csv=CSV, a_csv=CSV, README_md="# no tweets here"))
    assert frame(path)["source"].tolist() == ["a.zip!a.csv"] * 2 + ["a.zip!b.csv"] * 2


def test_what_is_about_the_tweets_in_a_zip_is_not_read_as_tweets(tmp_path):
    path = write(tmp_path, "a.zip", zipped(a_csv=CSV, README_txt="how it was made"))
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("b/License.txt", "c/read_me.CSV", "license_plates.txt"):
            archive.writestr(name, CSV)
    sources = frame(path)["source"].cat.categories
    assert sources.tolist() == ["a.zip!a.csv", "a.zip!license_plates.txt"]


def test_a_file_may_be_compressed_twice(tmp_path):
    path = write(tmp_path, "a.gz", gzip.compress(gzip.compress(CSV.encode())))
    assert texts(path) == ["Good morning everyone", "Rain again"]


@pytest.mark.parametrize(
    "pack", [gzip.compress, lambda data: zipped(a_csv=data)], ids=["gz", "zip"]
)
def test_a_bomb_is_refused_and_never_held_in_memory(tmp_path, pack):
    bomb = write(
        tmp_path, "bomb", pack(b"id,text\n" + (b"1," + b"spam and spam " * 20 + b"\n") * 240_000)
    )
    tracemalloc.start()
    message = refused(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "unpacks to more than 64 MiB" in message
    assert peak < 40 * 2**20


def test_no_compressed_file_may_pass_the_total_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 100_000)
    path = write(tmp_path, "a.gz", gzip.compress(os.urandom(200_000).hex().encode()))
    assert "unpacks to more than 0 MiB" in refused(path)
    plain = write(tmp_path, "a.txt", "hello there\n" * 20_000)
    assert len(texts(plain)) == 20_000


def encrypted(content: bytes) -> bytes:
    """The zip with its members marked as encrypted."""
    data = bytearray(content)
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + flags] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    "content, message",
    [
        (gzip.compress(CSV.encode() * 99)[:-9], "is damaged or incomplete"),
        (gzip.compress(CSV.encode() * 99)[:40], "is damaged or incomplete"),
        (gzip.compress(CSV.encode())[:-8] + b"\0" * 8, "is damaged or incomplete"),
        (zipped(a_csv=CSV)[:60], "is damaged or incomplete"),
        (encrypted(zipped(a_csv=CSV)), "is encrypted"),
        (zipped(mimetype="application/vnd.oasis"), "office document"),
        (zipped(), "without tweets"),
        (b"BZh91AY&SY" + b"\1" * 40, "is damaged or incomplete"),
        (b"\xfd7zXZ\x00" + b"\1" * 40, "is damaged or incomplete"),
    ],
)
def test_a_damaged_or_foreign_file_is_said_in_one_line(tmp_path, content, message):
    assert message in refused(write(tmp_path, "a.dat", content))


def test_the_tweets_of_an_archive_have_their_dates(tmp_path):
    tweets = [
        {
            "tweet": {
                "full_text": f"day {day} it is",
                "created_at": f"Wed Oct {day} 20:19:24 +0000 2018",
            }
        }
        for day in (10, 11, 12)
    ]
    path = write(tmp_path, "tweets.js", "window.YTD.tweets.part0 = " + json.dumps(tweets))
    days = frame(path, since="2018-10-11")["date"].dt.day
    assert days.tolist() == [10, 11, 12]
