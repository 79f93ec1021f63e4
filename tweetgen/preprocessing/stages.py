"""The stages of preprocess.py: each takes the table of tweets and returns the next one.

A table has a row for each tweet, in the order of the files. Rows that a rule drops are counted.
"""

import re
from collections.abc import Iterator
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa

from tweetgen import console
from tweetgen.cleaning import clean
from tweetgen.models import PretrainedTokenizer
from tweetgen.preprocessing.counts import Counts
from tweetgen.preprocessing.near import near_duplicates
from tweetgen.preprocessing.parallel import BATCH_TWEETS, Work, map_batches
from tweetgen.settings import CleaningSettings, ReadingSettings, SelectionSettings
from tweetgen.text.keys import canonical_key, hash_keys
from tweetgen.tokenizer import END_ID, encoder, fast_encoder, train_vocabulary

MIN_VALIDATION = 2  # one tweet says nothing about the next
IDS = pd.ArrowDtype(pa.large_list(pa.int32()))


def inside_dates(frame: pd.DataFrame, settings: ReadingSettings, counts: Counts) -> pd.DataFrame:
    """The tweets of the days from --since to --until; one without a date is outside."""
    if not (settings.since or settings.until):
        return frame
    day = frame["date"].dt.normalize()
    inside = day.notna()
    if settings.since:
        inside &= day >= pd.Timestamp(settings.since, tz="UTC")
    if settings.until:
        inside &= day <= pd.Timestamp(settings.until, tz="UTC")
    return counts.keep(frame, inside, "outside dates")


def show_preview(raw: pd.Series, settings: CleaningSettings) -> None:
    """Print tweets, each before and after cleaning."""
    for text in raw:
        cleaned = clean(text, settings)
        console.show(f"before: {text}")
        console.show(f"after:  {f'({cleaned.dropped})' if cleaned.dropped else cleaned.text}")
        console.show()


def cleaner(settings: CleaningSettings, excluded: re.Pattern[str] | None) -> Work:
    """A function from raw texts to the columns text, key (a hash), changed and dropped (rules)."""

    def clean_texts(raw: pd.Series) -> pd.DataFrame:
        results = [clean(text, settings) for text in raw.tolist()]
        texts = ["" if result.dropped else result.text for result in results]
        dropped = [result.dropped for result in results]
        if excluded:
            pairs = zip(dropped, texts, strict=True)
            dropped = [d or ("excluded" if excluded.search(text) else "") for d, text in pairs]
        return pd.DataFrame(
            {
                "text": pd.Series(texts, dtype="str"),
                "key": hash_keys([canonical_key(text) for text in texts]),
                "changed": pd.Series([",".join(result.changed) for result in results], dtype="str"),
                "dropped": pd.Series(dropped, dtype="str"),
            }
        )

    return clean_texts


def clean_tweets(
    frame: pd.DataFrame,
    settings: CleaningSettings,
    excluded: re.Pattern[str] | None,
    counts: Counts,
    workers: int,
) -> pd.DataFrame:
    """The clean texts that no rule drops, and the hash of each one's canonical key."""
    arguments = (settings, excluded)
    batches = map_batches(cleaner, arguments, frame["text"], workers, "cleaning")
    if not batches:
        counts.check_any_kept()
    cleaned = pd.concat(batches, ignore_index=True)
    stays = cleaned["dropped"] == ""
    changed = stays | (cleaned["dropped"] == "excluded")
    for rules, number in cleaned["changed"][changed].value_counts().items():
        counts.changed.update(dict.fromkeys(filter(None, str(rules).split(",")), number))
    if repaired := int((frame["repaired"].to_numpy() & changed.to_numpy()).sum()):
        counts.changed["mojibake"] = repaired
    counts.dropped.update(cleaned["dropped"][~stays].value_counts().to_dict())
    counts.check_any_kept()
    return cleaned.loc[stays, ["text", "key"]]


def without_copies(
    frame: pd.DataFrame, settings: SelectionSettings, counts: Counts, workers: int
) -> pd.DataFrame:
    """The tweets that are no copies, nor near copies if that is asked for, of earlier ones."""
    frame = counts.keep(frame, ~frame.duplicated("key"), "duplicate")
    if settings.near_duplicates:
        near = near_duplicates(frame["text"], settings.near_duplicates, workers)
        frame = counts.keep(frame, ~near, "near duplicate")
    return frame.drop(columns="key")


def new_vocabulary(texts: pd.Series, size: int, old: PretrainedTokenizer) -> PretrainedTokenizer:
    """A tokenizer made from the texts, for a model with the context of the old one's."""
    starts = range(0, len(texts), BATCH_TWEETS)
    batches = (texts.iloc[start : start + BATCH_TWEETS].tolist() for start in starts)
    tokenizer_json = train_vocabulary(batches, size)
    num_entries = encoder(tokenizer_json).get_vocab_size()
    if num_entries < size:
        console.say(f"so few tweets give {num_entries:,} vocabulary entries")
    return old._replace(tokenizer_json=tokenizer_json, eos_token_id=END_ID)


def ids_maker(tokenizer_json: str, eos_token_id: int) -> Work:
    """A function from texts to a column of lists: the ids of each, EOS at the end."""
    encode = fast_encoder(tokenizer_json)

    def ids_of(texts: pd.Series) -> pd.Series:
        tweets = encode(texts.tolist())
        for ids in tweets:
            ids.append(eos_token_id)
        offsets = np.cumsum([0, *map(len, tweets)])
        ids = np.fromiter(chain.from_iterable(tweets), np.int32, offsets[-1])
        return pd.Series(pa.LargeListArray.from_arrays(offsets, ids), dtype=IDS)

    return ids_of


def encode_tweets(
    frame: pd.DataFrame, tokenizer: PretrainedTokenizer, counts: Counts, workers: int
) -> pd.DataFrame:
    """The tweets that a model can read as EOS tweet EOS, with their `ids`, the last EOS included."""
    arguments = (tokenizer.tokenizer_json, tokenizer.eos_token_id)
    batches = map_batches(ids_maker, arguments, frame["text"], workers, "encoding")
    frame = frame.assign(ids=pd.concat(batches, ignore_index=True).set_axis(frame.index))
    fits = frame["ids"].list.len() < tokenizer.context_length
    frame = counts.keep(frame, fits, "too long")
    counts.check_any_kept()
    return frame


def chosen_and_split(
    frame: pd.DataFrame, settings: SelectionSettings, counts: Counts
) -> pd.DataFrame:
    """Tweets drawn at random, with a column `split`; those for training come first.

    All are equally likely. A validation part of fewer than MIN_VALIDATION tweets is left out.
    """
    random = np.random.default_rng(settings.seed)
    kept = frame.index.to_series()
    if settings.max_tweets and len(kept) > settings.max_tweets:
        kept = kept.sample(settings.max_tweets, random_state=random)
        frame = counts.keep(frame, frame.index.isin(kept), "not chosen")
    num_validation = min(round(len(kept) * settings.val_fraction), len(kept) - 1)
    if num_validation < MIN_VALIDATION:
        num_validation = 0
    held_out = frame.index.isin(kept.sample(num_validation, random_state=random))
    parts = [frame[~held_out].assign(split="train"), frame[held_out].assign(split="validation")]
    return pd.concat(parts)


def batches_of(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows, some thousands at a time."""
    for start in range(0, len(frame), BATCH_TWEETS):
        yield frame.iloc[start : start + BATCH_TWEETS]
