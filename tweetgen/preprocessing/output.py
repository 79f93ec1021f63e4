"""What preprocess.py leaves: the content of the token file, the clean texts, a table of counts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tweetgen import console
from tweetgen.files import atomic_write
from tweetgen.preprocessing.counts import table
from tweetgen.preprocessing.parallel import batches

PARTS = ("train", "validation")


def token_content(tweets: pd.DataFrame) -> dict[str, Any]:
    """What a token file says of its tweets; its other keys say where they come from."""
    import torch

    from tweetgen.storage import fingerprint

    parts = [tweets["part"] == part for part in PARTS]
    lengths, characters = (
        np.concatenate([column.to_numpy("int64")[part] for part in parts])
        for column in (tweets["ids"].list.len(), tweets["text"].str.len())
    )
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    content = {"ids": _ids(tweets, offsets[-1]), "offsets": offsets, "characters": characters}
    tensors = {name: torch.from_numpy(array) for name, array in content.items()}
    start = int(parts[0].sum())
    key = fingerprint(tensors["ids"], tensors["offsets"], start)
    return tensors | {"validation_start": start, "fingerprint": key}


def _ids(tweets: pd.DataFrame, num_ids: int) -> npt.NDArray[np.int32]:
    """All ids, part after part; copied in batches, as a million tweets have 110 MB of them."""
    ids = np.empty(num_ids, np.int32)
    end = 0
    for part in PARTS:
        for batch in batches(tweets[["ids", "part"]], 2**16):
            own = batch.loc[batch["part"] == part, "ids"].list.flatten().to_numpy()
            start, end = end, end + len(own)
            ids[start:end] = own
    return ids


def write_texts(path: str, tweets: pd.DataFrame) -> None:
    """Write the texts of a token file, in its order, in the format that the suffix names.

    Raises:
        TweetgenError: the file cannot be written.
    """
    rows = pd.concat([tweets.loc[tweets["part"] == part, ["text", "part"]] for part in PARTS])
    rows = rows.rename(columns={"part": "split"})
    with atomic_write(path) as file:
        if path.endswith(".parquet"):
            rows.to_parquet(file, index=False)
        elif path.endswith(".csv"):
            rows.to_csv(file, index=False, mode="wb")
        else:
            for text, part in zip(rows["text"], rows["split"], strict=True):
                line = json.dumps({"text": text, "split": part}, ensure_ascii=False)
                file.write(line.encode() + b"\n")


def show_summary(counts: dict[str, Any], tweets: dict[str, Any], path: str) -> None:
    """Print what became of the tweets, and what the token file holds."""
    offsets, validation_start = tweets["offsets"], tweets["validation_start"]
    rows = [
        *table(counts),
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
