"""What came of the drafts, and what would give more tweets."""

import dataclasses
from collections import Counter

# What helps against a fault, as `Judge.fault` and `generate` name it; "": there was none.
ADVICE = {
    "": "Without chance there is one tweet for each prompt: try a --temperature above 0",
    "too long": "Try a larger --max_length, or a shorter --prompt",
    "without an end": "Try a shorter --prompt or a lower --temperature, or train longer",
    "empty": "Try another --prompt or a higher --temperature",
    "of broken characters": "Try a lower --temperature, or train longer",
    "with forbidden words": "Try another --prompt, or shorten the --forbid file",
    "without required words": "Try a --prompt that has one, or lengthen the --require file",
    "copies of training tweets": "Use --copies allow, or train on more tweets for fewer --epochs",
    "repeated": "Try a higher --temperature, or ask for fewer with --num_tweets",
}


@dataclasses.dataclass
class Tally:
    """What came of the drafts of one or more calls of `generate`."""

    wanted: int = 0
    shown: int = 0
    drafts: int = 0
    faults: Counter[str] = dataclasses.field(default_factory=Counter)

    def describe(self) -> str:
        """ "3 of 5 tweets could be had: of 204 drafts, 190 were copies of training tweets" """
        reasons = [f"{count:,} were {fault}" for fault, count in self.faults.most_common()]
        return (
            f"{self.shown:,} of {self.wanted:,} tweets could be had: "
            f"of {self.drafts:,} drafts, {', '.join(reasons) or 'all were good'}"
        )

    def advice(self) -> str:
        """What helps against the most common fault."""
        [(fault, _)] = self.faults.most_common(1) or [("", 0)]
        return ADVICE[fault]
