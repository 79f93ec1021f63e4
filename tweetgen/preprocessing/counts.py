"""What became of the tweets, by rule: the numbers that are stored and shown."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd

from tweetgen.errors import TweetgenError


class Counts:
    """How many tweets were read, and how many each rule changed or dropped.

    Every tweet that was read is dropped by one rule or kept; several rules may change a kept one.
    """

    def __init__(self, num_read: int) -> None:
        self.read = num_read
        self.changed: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()

    @property
    def kept(self) -> int:
        """How many tweets no rule has dropped so far."""
        return self.read - self.dropped.total()

    def keep(self, frame: pd.DataFrame, wanted: pd.Series, rule: str) -> pd.DataFrame:
        """The wanted rows; the others are counted as dropped by the rule."""
        num_dropped = len(wanted) - int(wanted.sum())
        if not num_dropped:
            return frame
        self.dropped[rule] += num_dropped
        return frame[wanted]

    def check_any_kept(self) -> None:
        """Raise TweetgenError, with the reasons, if nothing is left."""
        if self.kept:
            return
        reasons = ", ".join(f"{number:,} {rule}" for rule, number in self.dropped.most_common())
        raise TweetgenError(
            f"no usable tweets ({self.read:,} read{', ' if reasons else ''}{reasons}). "
            "Look at some with --preview 20, or relax a rule (see --help)."
        )

    def as_dict(self) -> dict[str, Any]:
        """The numbers as a token file stores them, the same for any order of counting."""
        return {
            "read": self.read,
            "kept": self.kept,
            "changed": dict(sorted(self.changed.items())),
            "dropped": dict(sorted(self.dropped.items())),
        }

    def table(self) -> Iterator[tuple[str, int]]:
        """Rows of a table: what happened, and to how many tweets; the most frequent rules first."""
        yield "read", self.read
        for heading, numbers in (("changed: ", self.changed), ("dropped: ", self.dropped)):
            for rule, number in sorted(numbers.items(), key=lambda item: (-item[1], item[0])):
                yield heading + rule, number
        yield "kept", self.kept
