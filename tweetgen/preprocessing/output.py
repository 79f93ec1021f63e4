"""What preprocess.py leaves: the content of the token file, the clean texts, a table of counts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tweetgen import console
from tweetgen.files import atomic_write
from tweetgen.preprocessing.counts import Counts
from tweetgen.preprocessing.stages import batches_of

SUFFIXES = (".jsonl", ".csv", ".parquet")


def token_content(frame: pd.DataFrame) -> dict[str, Any]:
    """What a token file says of its tweets; its other keys say where they come from."""
    import torch

    from tweetgen.storage import fingerprint

    chunks = pa.Table.from_pandas(frame[["ids"]], preserve_index=False)["ids"].chunks
    ids = torch.from_numpy(np.concatenate([chunk.flatten().to_numpy() for chunk in chunks]))
    lengths = torch.from_numpy(frame["ids"].list.len().to_numpy(dtype="int64"))
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    validation_start = int((frame["split"] == "train").sum())
    return {
        "ids": ids,
        "offsets": offsets,
        "validation_start": validation_start,
        "characters": torch.from_numpy(frame["text"].str.len().to_numpy(dtype="int64")),
        "fingerprint": fingerprint(ids, offsets, validation_start),
    }


def write_texts(path: str, frame: pd.DataFrame) -> None:
    """Write the texts of a token file, in its order, in the format that the suffix names.

    Raises:
        TweetgenError: the file cannot be written.
    """
    table = frame[["text", "split"]]
    with atomic_write(path) as file:
        if path.endswith(".parquet"):
            table.to_parquet(file, index=False)
        elif path.endswith(".csv"):
            table.to_csv(file, index=False, mode="wb")
        else:
            for batch in batches_of(table):
                for row in batch.to_dict("records"):
                    file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def show_summary(counts: Counts, tweets: dict[str, Any], path: str) -> None:
    """Print what became of the tweets, and what the token file holds."""
    offsets, validation_start = tweets["offsets"], tweets["validation_start"]
    rows = [
        *counts.table(),
        ("training", validation_start),
        ("validation", len(offsets) - 1 - validation_start),
        ("tokens", len(tweets["ids"])),
        ("tokens of the longest", int(offsets.diff().max())),
        ("characters", int(tweets["characters"].sum())),
        (f"bytes in {path}", Path(path).stat().st_size),
    ]
    width = max(len(label) for label, _ in rows)
    for label, number in rows:
        console.show(f"{label:<{width}}  {number:>13,}")
