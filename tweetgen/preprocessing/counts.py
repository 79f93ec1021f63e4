"""What became of the tweets, by rule: the numbers that are stored and shown."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tweetgen.errors import TweetgenError


def drop(
    tweets: pd.DataFrame, unwanted: pd.Series | npt.NDArray[np.bool_], rule: str
) -> pd.DataFrame:
    """The table in which the unwanted rows that no rule dropped so far are dropped by this one."""
    dropped = tweets["dropped"]
    return tweets.assign(dropped=dropped.mask((dropped == "") & unwanted, rule))


def count(tweets: pd.DataFrame) -> dict[str, Any]:
    """How many tweets were read and kept, and how many each rule changed and dropped.

    Every tweet is dropped by one rule or kept; several rules may change one.

    Raises:
        TweetgenError: none is kept; says why.
    """
    dropped = tweets["dropped"].value_counts().to_dict()
    kept = dropped.pop("", 0)
    if not kept:
        reasons = "".join(f", {number:,} {rule}" for rule, number in dropped.items())
        raise TweetgenError(
            f"no usable tweets ({len(tweets):,} read{reasons}). "
            "Look at some with --preview 20, or relax a rule (see --help)."
        )
    changed: Counter[str] = Counter()
    for rules, number in tweets["changed"].value_counts().items():
        changed.update(dict.fromkeys(filter(None, str(rules).split(",")), number))
    by_rule = {"changed": dict(sorted(changed.items())), "dropped": dict(sorted(dropped.items()))}
    return {"read": len(tweets), "kept": kept} | by_rule


def table(counts: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Rows of a table: what happened, and to how many tweets; the most frequent rules first."""
    yield "read", counts["read"]
    for heading in ("changed", "dropped"):
        for rule, number in sorted(counts[heading].items(), key=lambda item: (-item[1], item[0])):
            yield f"{heading}: {rule}", number
    yield "kept", counts["kept"]
