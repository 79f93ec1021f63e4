"""From a draft's tokens to its text, and whether that can be shown."""

import dataclasses
import re
from collections.abc import Sequence

from tokenizers import Tokenizer

from tweetgen.text.words import SPACELESS_LETTER
from tweetgen.text.copies import CopyGuard
from tweetgen.text.length import weighted_length

# What is left of half an emoji; the others make a post invalid for X.
BROKEN = re.compile("[\ufffd\ufffe\ufeff\uffff]")
# All but the last word, which may still grow into a link or an emoji and then count less.
SETTLED = re.compile(rf".*(?:\s|{SPACELESS_LETTER.pattern})", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Draft:
    """What the model wrote, good or not."""

    text: str  # prompt and continuation
    finished: bool  # by EOS
    mean_log_probability: float  # nats a token of the continuation, EOS included


def text_of(
    tokenizer: Tokenizer, prompt: str, prompt_tokens: Sequence[int], tokens: list[int]
) -> str:
    """The prompt as it was given and the text of the tokens after it.

    Bytes of an unfinished character at the end are dropped, and white space there.
    """
    # Both are decoded together, since some tokenizers drop the space of a text's first token.
    start = tokenizer.decode(prompt_tokens, skip_special_tokens=False)
    whole = tokenizer.decode([*prompt_tokens, *tokens], skip_special_tokens=False)
    text = prompt + whole[len(start) :] if whole.startswith(start) else whole
    text = text.rstrip("\ufffd").rstrip()
    return text if prompt else text.lstrip()


def is_certainly_longer(text: str, limit: int) -> bool:
    """Whether an unfinished text is over the limit (0 = none) whatever follows."""
    settled = SETTLED.match(text)
    return bool(limit and settled and weighted_length(settled[0].rstrip()) > limit)


class Judge:
    """Says what is wrong with a draft."""

    def __init__(
        self,
        guard: CopyGuard,
        max_length: int,
        forbid: re.Pattern[str] | None,
        require: re.Pattern[str] | None,
    ) -> None:
        """`max_length` is X's weighted length, 0 = any; `forbid` and `require` are searched for."""
        self._guard, self._max_length = guard, max_length
        self._forbid, self._require = forbid, require

    def fault(self, draft: Draft, prompt: str) -> str:
        """What keeps a draft from being shown, in words that fit "12 were ...", or ""."""
        text = draft.text
        if not draft.finished:
            return "too long" if is_certainly_longer(text, self._max_length) else "without an end"
        if len(text) <= len(prompt):
            return "empty"
        if BROKEN.search(text):
            return "of broken characters"
        if self._max_length and weighted_length(text) > self._max_length:
            return "too long"
        if self._forbid and self._forbid.search(text):
            return "with forbidden words"
        if self._require and not self._require.search(text):
            return "without required words"
        return "copies of training tweets" if self._guard.kind(text, prompt) else ""
