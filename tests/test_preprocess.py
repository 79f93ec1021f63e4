"""Files of tweets to a token file, as the command does it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch

import preprocess
from tests.conftest import PROJECT
from tests.examples import model_content, sentences, write_tweets
from tests.tiny import CONTEXT_LENGTH, END, tiny_model_folder
from tweetgen import storage
from tweetgen.text.keys import canonical_key
from tweetgen.tokenizer import encoder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def run(tmp_path, model, monkeypatch, capsys):
    """Run the command on some texts in an empty folder; what it wrote, or its error message."""
    monkeypatch.chdir(tmp_path)

    def run(texts, *flags, exit_code=0):
        write_tweets("tweets.jsonl", texts)
        line = ["--data_path", "tweets.jsonl", "--output_path", "out.pkl", "--model", model, *flags]
        assert preprocess.main(list(map(str, line))) == exit_code
        if exit_code:
            return capsys.readouterr().err
        return storage.load_tokens("out.pkl")

    return run


def texts_of(content):
    """The texts that a token file holds, those for training first."""
    tokenizer = encoder(content["tokenizer_json"])
    borders = content["offsets"].tolist()
    rows = [content["ids"][start : end - 1].tolist() for start, end in pairwise(borders)]
    return tokenizer.decode_batch(rows)


def test_the_token_file_holds_the_clean_tweets_in_their_order(run):
    texts = sentences(30)
    content = run([f"{text} https://t.co/ab{i}" for i, text in enumerate(texts)])
    found = texts_of(content)
    assert sorted(found) == sorted(texts)
    training = found[: content["validation_start"]]
    assert training == [text for text in texts if text in training]
    assert content["characters"].tolist() == [len(text) for text in found]
    assert content["tokenizer_json"] and content["eos_token_id"] == 256
    assert content["settings"]["urls"] == "remove" and content["settings"]["seed"] == 0


def test_every_tweet_read_is_kept_or_dropped_by_one_rule(run):
    texts = sentences(20)
    dropped = ["RT @a: not my words at all", "", "short one", texts[0], f"{texts[1].upper()}!!"]
    dropped += ["long " * CONTEXT_LENGTH]
    content = run([*texts, *dropped, "so &amp; so @ann and so"], "--mentions", "remove")
    counts = content["counts"]
    assert counts["read"] == 27
    assert counts["kept"] == len(content["offsets"]) - 1 == 21
    expected = {"retweet": 1, "empty": 1, "too short": 1, "duplicate": 2, "too long": 1}
    assert counts["dropped"] == expected
    assert counts["changed"]["entities"] == counts["changed"]["mentions"] == 1


def test_a_repair_is_counted_for_the_tweets_that_stay(run):
    texts = [f"the cafÃ© of number {number} is here" for number in range(20)]
    content = run([*texts, "RT @a: the cafÃ© is not mine"])
    assert content["counts"]["changed"]["mojibake"] == 20


def test_the_first_of_two_copies_stays(run):
    content = run(["One lamp, lit!", "another sentence here", "ONE LAMP LIT", "one lamp lit"])
    assert texts_of(content) == ["One lamp, lit!", "another sentence here"]


def test_no_copy_of_a_training_tweet_is_held_out(run):
    texts = [form.format(text) for text in sentences(100) for form in ("{}", "{}!", "@ann {} 👍")]
    content = run(texts, "--val_fraction", 0.4)
    keys = [canonical_key(text) for text in texts_of(content)]
    start = content["validation_start"]
    assert len(keys) == 100 and start == 60
    assert not set(keys[:start]) & set(keys[start:])


def test_near_copies_are_dropped_on_request(run):
    text = "nine umbrellas and a parrot behind the second door"
    texts = [text, f"{text} too", "something else entirely, about trams", f"{text}s"]
    assert len(texts_of(run(texts))) == 4
    content = run(texts, "--near_duplicates", 0.8)
    assert texts_of(content) == [text, texts[2]]
    assert content["counts"]["dropped"] == {"near duplicate": 2}


def test_the_result_does_not_depend_on_the_number_of_workers(run, tmp_path):
    texts = [*sentences(9000), *sentences(300), "@ann too short", "RT @ann: not mine", "&amp;"]
    flags = ["--near_duplicates", 0.9, "--cleaned_path", "clean.jsonl", "--max_tweets", 5000]
    results = []
    for num_workers in (1, 2, 3):
        run(texts, *flags, "--workers", num_workers)
        results.append([(tmp_path / name).read_bytes() for name in ("out.pkl", "clean.jsonl")])
    assert results[0] == results[1] == results[2]


def test_the_tokenizer_may_be_that_of_an_earlier_model_file(run):
    earlier = model_content()
    storage.save_model("earlier.pt", earlier)
    content = run(sentences(20), "--model", "earlier.pt")
    assert content["tokenizer_name"] == "earlier.pt"
    assert content["tokenizer_json"] == earlier["tokenizer_json"]
    assert sorted(texts_of(content)) == sorted(sentences(20))


def test_several_small_files_are_read_in_the_order_given(run, model):
    parts = [sentences(40, seed) for seed in range(5)]
    names = [f"part{number}.jsonl" for number in (3, 1, 4, 0, 2)]
    for name, part in zip(names, parts, strict=True):
        write_tweets(name, part)
    line = ["--data_path", *names, "--model", model, "--val_fraction", 0, "--output_path"]
    for num_workers in (1, 2):
        output = f"{num_workers}.pkl"
        assert preprocess.main([*map(str, line), output, "--workers", str(num_workers)]) == 0
        distinct = {canonical_key(text): text for part in parts[::-1] for text in part[::-1]}
        expected = [t for part in parts for t in part if distinct.get(canonical_key(t)) == t]
        assert texts_of(storage.load_tokens(output)) == list(dict.fromkeys(expected))


def test_the_seed_decides_what_is_held_out(run):
    texts = sentences(50)
    first, second, other = (texts_of(run(texts, "--seed", seed)) for seed in (1, 1, 2))
    assert first == second != other
    assert sorted(first) == sorted(other)


def test_max_tweets_is_a_random_part_of_that_size(run):
    texts = sentences(300)
    content = run(texts, "--max_tweets", 100, "--val_fraction", 0)
    found = texts_of(content)
    assert len(found) == 100 and found != texts[:100]
    assert found == [text for text in texts if text in set(found)]
    assert content["counts"]["dropped"] == {"not chosen": 200}


@pytest.mark.parametrize("num_tweets, num_validation", [(1, 0), (14, 0), (15, 2), (100, 10)])
def test_a_validation_part_of_one_tweet_is_none(run, num_tweets, num_validation):
    content = run(sentences(num_tweets))
    assert content["validation_start"] == num_tweets - num_validation


def test_excluded_words_drop_tweets(run, tmp_path):
    (tmp_path / "words.txt").write_text("Umbrella\n/par+ot/\n")
    texts = [
        "an umbrella is here",
        "umbrellas are many here",
        "a parrrot is here",
        "nothing here now",
    ]
    content = run(texts, "--exclude", "words.txt")
    assert texts_of(content) == [texts[1], texts[3]]
    assert content["counts"]["dropped"] == {"excluded": 2}


def test_tweets_outside_the_dates_are_counted(run, tmp_path):
    rows = [f"2020-0{month}-15,{text}" for month, text in enumerate(sentences(9), start=1)]
    (tmp_path / "dated.csv").write_text("\n".join(["created_at,text", *rows]) + "\n")
    flags = ["--data_path", "dated.csv", "--since", "2020-03-01", "--until", "2020-05-31"]
    content = run([], *flags, "--val_fraction", 0)
    assert texts_of(content) == sentences(9)[2:5]
    assert content["counts"]["read"] == 9
    assert content["counts"]["dropped"] == {"outside dates": 6}


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_cleaned_texts_are_those_of_the_token_file(run, suffix):
    texts = [*sentences(40), "line one\nand line two 👍", "NA", "007", 'so "quoted", with commas']
    flags = ["--newlines", "keep", "--min_words", 1, "--cleaned_path", f"c.{suffix}"]
    content = run(texts, *flags)
    if suffix == "jsonl":
        rows = pd.DataFrame(map(json.loads, Path("c.jsonl").read_text("utf-8").splitlines()))
    elif suffix == "csv":
        rows = pd.read_csv("c.csv", dtype=str, keep_default_na=False)
    else:
        rows = pd.read_parquet("c.parquet")
    assert rows["text"].tolist() == texts_of(content)
    parts = Counter(rows["split"])
    assert parts == {"train": content["validation_start"], "validation": 4}


def test_another_suffix_for_cleaned_texts_is_a_usage_error(run):
    message = run(sentences(5), "--cleaned_path", "clean.xlsx", exit_code=2)
    assert "--cleaned_path ends in .jsonl, .csv or .parquet" in message


def test_the_preview_shows_raw_and_clean_and_escapes_both(run, capsys):
    run(["\x1b[2Jred &amp; blue lamps", "RT @a: not mine", *sentences(5)], "--preview", 2)
    shown = capsys.readouterr().out.splitlines()[:5]
    assert shown[0] == r"before: \x1b[2Jred &amp; blue lamps"
    assert shown[1].startswith("after:  ") and shown[1].endswith("red & blue lamps")
    assert shown[3:5] == ["before: RT @a: not mine", "after:  (retweet)"]


def test_a_new_vocabulary_is_made_from_the_clean_tweets(run):
    texts = sentences(300)
    content = run([f"@somebody {text}" for text in texts], "--new_vocabulary", 300)
    assert (
        content["eos_token_id"] == 0 and encoder(content["tokenizer_json"]).get_vocab_size() == 300
    )
    assert sorted(texts_of(content)) == sorted(texts)
    assert "some" not in encoder(content["tokenizer_json"]).get_vocab()


def test_tweets_fill_the_context_but_do_not_exceed_it(run):
    fits, too_long = (
        "abc def " + "x" * (CONTEXT_LENGTH - 10),
        "abc ghi " + "y" * (CONTEXT_LENGTH - 9),
    )
    content = run([fits, too_long])  # a token a character, and EOS before and after
    assert texts_of(content) == [fits]
    assert content["offsets"].tolist() == [0, CONTEXT_LENGTH - 1]


def test_the_end_token_in_a_tweet_stays_text(run):
    texts = [f"a {END} in the middle", f"{END} {END} {END}", "&lt;|endoftext|&gt; made of entities"]
    content = run(texts, "--min_words", 0)
    found = texts_of(content)
    assert found[:2] == texts[:2] and found[2] == f"{END} made of entities"
    assert (content["ids"] == 256).sum() == 3


LITERAL = ["NA", "null", "nan", "None", "007", "=1+1", "@bob", "#tag", '"quoted"', "1.0",
           "line one\nline two", "a\n\nb", "True", "1e5"]  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_R38_words_that_look_like_values_stay_text(tmp_path, model, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    if kind == "csv":
        rows = "".join(f'{i},"{t.replace(chr(34), chr(34) * 2)}"\n' for i, t in enumerate(LITERAL))
        (tmp_path / "tweets.csv").write_text("id,text\n" + rows, encoding="utf-8")
    else:
        write_tweets("tweets.jsonl", LITERAL)
    flags = ["--min_words", "1", "--mentions", "keep", "--newlines", "keep", "--val_fraction", "0"]
    line = ["--data_path", f"tweets.{kind}", "--model", str(model), "--cleaned_path", "c.jsonl"]
    assert preprocess.main([*line, *flags]) == 0
    lines = (tmp_path / "c.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == LITERAL


def test_R39_a_field_of_three_megabytes_is_dropped_and_counted(run):
    start = time.perf_counter()
    content = run(
        [*sentences(20), "lamp " * 600_000, "so " + "x" * 3_000_000 + " far", "@a " * 1_000_000]
    )
    assert content["counts"]["dropped"] == {"too long": 2, "empty": 1}
    assert time.perf_counter() - start < 30


def test_however_much_is_held_out_one_tweet_is_left_to_learn_from(run):
    assert run(sentences(4), "--val_fraction", 0.9)["validation_start"] >= 1


def test_R40_nothing_usable_is_an_error_with_the_reasons(run, tmp_path):
    message = run(["", "@ann", "RT @a: x", "https://t.co/a"] * 10, exit_code=1)
    assert "no usable tweets (40 read, 30 empty, 10 retweet)" in message
    assert message.count("\n") == 2, "what was read, and one line of error"
    assert not (tmp_path / "out.pkl").exists()


@pytest.mark.parametrize(
    "flags",
    [
        ["--output_path", "tweets.jsonl"],
        ["--output_path", "out.csv", "--cleaned_path", "./out.csv"],
        ["--exclude", "words.txt", "--output_path", "words.txt"],
        ["--model", "words.txt", "--output_path", "words.txt"],
        ["--output_path", "."],
        ["--cleaned_path", "tweets.jsonl/c.jsonl"],
    ],
)
def test_an_output_that_cannot_or_must_not_be_written_is_refused_at_once(run, tmp_path, flags):
    (tmp_path / "words.txt").write_text("umbrella\n")
    start = time.perf_counter()
    assert "error:" in run(sentences(5), *flags, exit_code=1)
    assert time.perf_counter() - start < 5
    assert (tmp_path / "words.txt").read_text() == "umbrella\n"
    assert len((tmp_path / "tweets.jsonl").read_text().splitlines()) == 5


def test_an_empty_output_path_is_a_usage_error(run):
    assert "--output_path is empty" in run(sentences(5), "--output_path", "", exit_code=2)


def test_a_low_similarity_is_a_usage_error(run):
    assert "0.5 to 1" in run(sentences(5), "--near_duplicates", 0.3, exit_code=2)


def test_a_full_disk_leaves_the_old_file(run, tmp_path, monkeypatch):
    old = run(sentences(20))
    content = (tmp_path / "out.pkl").read_bytes()

    def full(file, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", lambda document, file: full(file, document))
    assert "disk full" in run(sentences(30), exit_code=1)
    assert (tmp_path / "out.pkl").read_bytes() == content and len(old["offsets"]) == 21
    assert sorted(os.listdir(tmp_path)) == ["out.pkl", "tweets.jsonl"]


@pytest.mark.parametrize("number, exit_code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("num_workers", ["1", "2"])
def test_R26_an_interrupted_run_leaves_nothing(tmp_path, model, number, exit_code, num_workers):
    write_tweets(tmp_path / "tweets.jsonl", sentences(60_000))
    flags = ["--data_path", "tweets.jsonl", "--output_path", "out.pkl", "--model", model]
    process = subprocess.Popen(
        [sys.executable, PROJECT / "preprocess.py", *flags, "--workers", num_workers],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert "60,000 tweets" in process.stderr.readline(), "now it cleans"
    time.sleep(0.3)
    os.killpg(process.pid, number)  # as a terminal does with Ctrl-C
    _, errors = process.communicate(timeout=20)
    assert process.returncode == exit_code
    assert "Traceback" not in errors
    assert os.listdir(tmp_path) == ["tweets.jsonl"]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
