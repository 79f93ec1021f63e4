"""What a decoder is: a language model that writes many rows side by side, token by token."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Prefix:
    """A prompt after the model has read it; any number of rows can start from it."""

    length: int  # tokens
    cache: Any  # the decoder's own: keys and values
    logits: Tensor  # float32 (V,), of the first token after the prompt


class Decoder(Protocol):
    """A causal language model and the rows of a batch, each of a length of its own.

    Rows 0 to B - 1 are in use; whoever calls knows B.
    """

    device: torch.device
    context_length: int  # tokens a row can hold
    vocabulary_size: int

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        """Each prompt, of at least one token, after reading; independent of the other prompts."""

    def place(self, row: int, prefix: Prefix) -> None:
        """Make row `row` begin anew after `prefix`; `row` may be the first one not in use."""

    def move(self, source: int, target: int) -> None:
        """Make row `target` what row `source` is."""

    def step(self, tokens: Tensor) -> Tensor:
        """Add a token to each of the first B rows: int64 (B,) -> float32 logits (B, V)."""
