"""The stages of preprocess.py: each takes the table of tweets and returns it with more columns.

A row stays for every tweet read. Its column `dropped` names the rule that takes it out, or is "".
"""

import re
from collections.abc import Callable, Iterable
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa

from tweetgen import console
from tweetgen.cleaning import Outcome, bare_placeholders, cleaner
from tweetgen.models import PretrainedTokenizer
from tweetgen.preprocessing.counts import drop
from tweetgen.preprocessing.near import near_duplicates
from tweetgen.preprocessing.parallel import Task, Work, batches, map_batches
from tweetgen.settings import CleaningSettings, ReadingSettings, SelectionSettings
from tweetgen.text.keys import canonical_key
from tweetgen.tokenizer import END_ID, encoder, fast_encoder, train_vocabulary

MIN_VALIDATION = 2  # one tweet says nothing about the next
SAMPLE_TEXTS = 5000  # of a file, to see whether "URL" stands for a link in it
STR = pa.large_string()
IDS = pa.large_list(pa.int32())
PANDAS_TYPES = {STR: pd.StringDtype(na_value=np.nan), IDS: pd.ArrowDtype(IDS)}

Cleaners = dict[str, Callable[[str], Outcome]]


def choose_dates(tweets: pd.DataFrame, settings: ReadingSettings) -> pd.DataFrame:
    """The table of a reader, with `dropped` for tweets before --since, after --until, undated."""
    tweets = tweets.assign(dropped=pd.Series("", tweets.index, dtype="str"))
    if not (settings.since or settings.until):
        return tweets
    day = tweets["date"].dt.normalize()
    outside = day.isna()
    if settings.since:
        outside |= day < pd.Timestamp(settings.since, tz="UTC")
    if settings.until:
        outside |= day > pd.Timestamp(settings.until, tz="UTC")
    return drop(tweets, outside, "outside dates")


def show_preview(raw: pd.DataFrame, num_tweets: int, settings: CleaningSettings) -> None:
    """Print the first tweets, each before and after cleaning."""
    clean_of = cleaners(raw, settings)
    first = raw.index[raw["dropped"] == ""][:num_tweets]
    for text, source in raw.loc[first, ["text", "source"]].values:
        cleaned, _, dropped = clean_of[source](text)
        console.show(f"before: {text}")
        console.show(f"after:  {f'({dropped})' if dropped else cleaned}")
        console.show()


def clean_tweets(
    raw: pd.DataFrame,
    settings: CleaningSettings,
    excluded: re.Pattern[str] | None,
    tokenizer: PretrainedTokenizer | None,
    workers: int,
) -> pd.DataFrame:
    """The columns text (clean, "" where dropped), key (a hash), changed (rules) and dropped.

    With a tokenizer also ids: one start of processes for both costs less than encoding the copies.
    """
    columns = raw[["text", "source", "repaired", "dropped"]]
    task = Task(batch_cleaner, (cleaners(raw, settings), excluded, tokenizer), columns)
    table = pa.concat_tables(map_batches(task, workers, "cleaning"))
    clean: pd.DataFrame = table.to_pandas(types_mapper=PANDAS_TYPES.get)
    return clean.set_axis(raw.index)


def cleaners(raw: pd.DataFrame, settings: CleaningSettings) -> Cleaners:
    """The function that cleans a text, for each file by its name in the column `source`."""
    found, texts = {}, raw["text"]
    for source in raw["source"].cat.categories:
        rows = np.flatnonzero(raw["source"] == source)
        # One by one: a slice with a step copies all of Arrow's texts, 0.2 s of 737,000 tweets.
        sample = [texts.iat[row] for row in rows[:: max(1, len(rows) // SAMPLE_TEXTS)]]
        found[source] = cleaner(settings, bare_placeholders(sample))
    return found


def batch_cleaner(
    clean_of: Cleaners, excluded: re.Pattern[str] | None, tokenizer: PretrainedTokenizer | None
) -> Work:
    """What a process does with a batch of raw tweets for `clean_tweets`."""
    ids_of = ids_maker(tokenizer.tokenizer_json, tokenizer.eos_token_id) if tokenizer else None

    def clean_one(text: str, source: str, repaired: bool, dropped: str) -> tuple[str, str, str]:
        if dropped:
            return "", "", dropped
        text, changed, dropped = clean_of[source](text)
        if dropped:
            return "", "", dropped
        rules = ",".join(("mojibake", *changed) if repaired else changed)
        if excluded and excluded.search(text):
            return "", rules, "excluded"
        return text, rules, ""

    def clean_batch(raw: pd.DataFrame) -> pa.Table:
        fields = (raw[name].tolist() for name in ("text", "source", "repaired", "dropped"))
        rows = list(map(clean_one, *fields))
        texts, changed, dropped = ([row[place] for row in rows] for place in range(3))
        columns = {"text": texts, "changed": changed, "dropped": dropped}
        table = {name: pa.array(column, STR) for name, column in columns.items()}
        keys = np.array(list(map(canonical_key, texts)), object)
        table["key"] = pa.array(pd.util.hash_array(keys, categorize=False))
        return pa.table(table | {"ids": ids_of(texts)} if ids_of else table)

    return clean_batch


def drop_copies(tweets: pd.DataFrame, settings: SelectionSettings, workers: int) -> pd.DataFrame:
    """Drop copies of earlier tweets, and near copies if that is asked for."""
    keys = tweets.loc[tweets["dropped"] == "", "key"]
    tweets = drop(tweets, tweets.index.isin(keys.index[keys.duplicated()]), "duplicate")
    if settings.near_duplicates:
        texts = tweets.loc[tweets["dropped"] == "", "text"]
        near = near_duplicates(texts, settings.near_duplicates, workers)
        tweets = drop(tweets, tweets.index.isin(texts.index[near]), "near duplicate")
    return tweets


def new_vocabulary(
    tweets: pd.DataFrame, size: int, old: PretrainedTokenizer
) -> PretrainedTokenizer:
    """A tokenizer made from the kept texts, for a model with the context of the old one's."""
    texts = tweets.loc[tweets["dropped"] == "", "text"]
    tokenizer_json = train_vocabulary((batch.tolist() for batch in batches(texts)), size)
    num_entries = encoder(tokenizer_json).get_vocab_size()
    if num_entries < size:
        console.say(f"so few tweets give {num_entries:,} vocabulary entries")
    return old._replace(tokenizer_json=tokenizer_json, eos_token_id=END_ID)


def encode_tweets(
    tweets: pd.DataFrame, tokenizer: PretrainedTokenizer, workers: int
) -> pd.DataFrame:
    """The column `ids` of clean tweets: lists that end with EOS."""
    arguments = (tokenizer.tokenizer_json, tokenizer.eos_token_id)
    task = Task(ids_maker, arguments, tweets["text"].where(tweets["dropped"] == "", ""))
    ids = pa.chunked_array(map_batches(task, workers, "encoding"))
    return tweets.assign(ids=pd.arrays.ArrowExtensionArray(ids))


def drop_too_long(tweets: pd.DataFrame, context_length: int) -> pd.DataFrame:
    """Drop what no model reads as EOS tweet EOS."""
    return drop(tweets, tweets["ids"].list.len() >= context_length, "too long")


def ids_maker(tokenizer_json: str, eos_token_id: int) -> Work:
    """What a process does with a batch of clean texts for `encode_tweets`."""
    encode = fast_encoder(tokenizer_json)

    def ids_of(texts: Iterable[str]) -> pa.LargeListArray:
        tweets = encode(list(texts))
        for ids in tweets:
            ids.append(eos_token_id)
        offsets = np.cumsum([0, *map(len, tweets)])
        flat = np.fromiter(chain.from_iterable(tweets), np.int32, offsets[-1])
        return pa.LargeListArray.from_arrays(offsets, flat)

    return ids_of


def split(tweets: pd.DataFrame, settings: SelectionSettings) -> pd.DataFrame:
    """The column `part`: "train" or "validation", drawn at random; "" for the others.

    All tweets are equally likely. A validation part of fewer than MIN_VALIDATION is left out.
    """
    random = np.random.default_rng(settings.seed)
    kept = tweets.index[tweets["dropped"] == ""].to_series()
    if settings.max_tweets and len(kept) > settings.max_tweets:
        kept = kept.sample(settings.max_tweets, random_state=random)
        tweets = drop(tweets, ~tweets.index.isin(kept), "not chosen")
    num_validation = min(round(len(kept) * settings.val_fraction), len(kept) - 1)
    if num_validation < MIN_VALIDATION:
        num_validation = 0
    held_out = tweets.index.isin(kept.sample(num_validation, random_state=random))
    is_kept = tweets["dropped"] == ""
    return tweets.assign(part=np.select([held_out, is_kept], ["validation", "train"], ""))
