"""Whether a draft can be shown, what is wrong with it, and what helps against that."""

import dataclasses
import enum
import re
from collections import Counter

from tweetgen.generation.batching import Draft
from tweetgen.text.copies import CopyGuard
from tweetgen.text.entities import has_broken_emoji
from tweetgen.text.length import weighted_length
from tweetgen.text.words import SPACELESS_LETTER

# What is left of half an emoji; the others make a post invalid for X.
BROKEN = re.compile("[\ufffd\ufffe\ufeff\uffff]")
# All but the last word, which may still grow into a link or an emoji and then count less.
SETTLED = re.compile(rf".*(?:\s|{SPACELESS_LETTER.pattern})", re.DOTALL)


class Fault(enum.Enum):
    """Why a draft is not shown: `words` that fit "12 were ...", and the `advice` against it."""

    TOO_LONG = "too long", "Try a larger --max_length, or a shorter --prompt"
    NO_END = "without an end", "Try a shorter --prompt or a lower --temperature, or train longer"
    EMPTY = "empty", "Try another --prompt or a higher --temperature"
    BROKEN = "of broken characters", "Try a lower --temperature, or train longer"
    FORBIDDEN = "with forbidden words", "Try another --prompt, or shorten the --forbid file"
    NOT_REQUIRED = (
        "without required words",
        "Try a --prompt that has one, or lengthen the --require file",
    )
    COPY = (
        "copies of training tweets",
        "Use --copies allow, or train on more tweets for fewer --epochs",
    )
    REPEATED = "repeated", "Try a higher --temperature, or ask for fewer with --num_tweets"

    def __init__(self, words: str, advice: str) -> None:
        self.words, self.advice = words, advice


DETERMINISTIC = "At temperature 0 each prompt has one tweet: try a --temperature above 0"


@dataclasses.dataclass
class Tally:
    """What came of the drafts of one or more calls of `generate`."""

    wanted: int = 0
    shown: int = 0
    drafts: int = 0
    faults: Counter[Fault] = dataclasses.field(default_factory=Counter)

    def describe(self) -> str:
        """ "3 of 5 tweets could be had: of 204 drafts, 190 were copies of training tweets" """
        reasons = [f"{count:,} were {fault.words}" for fault, count in self.faults.most_common()]
        return (
            f"{self.shown:,} of {self.wanted:,} tweets could be had: "
            f"of {self.drafts:,} drafts, {', '.join(reasons) or 'all were good'}"
        )

    def advice(self) -> str:
        """What helps against the most common fault; without one, temperature 0 was the reason."""
        most_common = self.faults.most_common(1)
        return most_common[0][0].advice if most_common else DETERMINISTIC


def is_certainly_longer(text: str, limit: int) -> bool:
    """Whether an unfinished text is over the limit (0 = none) whatever follows."""
    settled = SETTLED.match(text)
    return bool(limit and settled and weighted_length(settled[0].rstrip()) > limit)


@dataclasses.dataclass(frozen=True)
class Judge:
    """Says what is wrong with a draft."""

    guard: CopyGuard
    max_length: int  # X's weighted length, 0 = any
    forbid: re.Pattern[str] | None  # found in no tweet
    require: re.Pattern[str] | None  # found in every tweet

    def fault(self, draft: Draft) -> Fault | None:
        """What keeps a draft from being shown, or None."""
        text, prompt = draft.text, draft.prompt.text
        if not draft.finished:
            is_longer = is_certainly_longer(text, self.max_length)
            return Fault.TOO_LONG if is_longer else Fault.NO_END
        if len(text) <= len(prompt):
            return Fault.EMPTY
        if BROKEN.search(text) or (has_broken_emoji(text) and not has_broken_emoji(prompt)):
            return Fault.BROKEN
        if self.max_length and weighted_length(text) > self.max_length:
            return Fault.TOO_LONG
        if self.forbid and self.forbid.search(text):
            return Fault.FORBIDDEN
        if self.require and not self.require.search(text):
            return Fault.NOT_REQUIRED
        return Fault.COPY if self.guard.kind(text, prompt) else None
