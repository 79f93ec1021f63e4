"""What draws tweets token by token: a batch of texts, each with its keys and values kept."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from tweetgen.device import choose_precision
from tweetgen.errors import TweetgenError
from tweetgen.generation.linear import has_int8


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


def load_decoder(
    config_json: str, weights: dict[str, Tensor], device: torch.device, precision: str
) -> Decoder:
    """The fastest decoder there is for a model.

    Args:
        config_json: the transformers config.
        weights: its state_dict in float32, tied tensors once.
        device: where to compute.
        precision: "fp32", "bf16", "int8" or "auto": int8 on x86 processors, otherwise bf16 where
            the hardware multiplies in it.

    Raises:
        TweetgenError: transformers knows no such model, or cannot draw from it row by row; int8 is
            not for this device.
    """
    if precision == "auto" and device.type == "cpu" and has_int8():
        precision = "int8"
    if precision == "int8" and not (device.type == "cpu" and has_int8()):
        raise TweetgenError("int8 needs an x86 processor and --device cpu; use --precision auto.")
    dtype = torch.float32 if precision == "int8" else choose_precision(precision, device)
    from tweetgen.generation import gpt2

    config = json.loads(config_json)
    if gpt2.is_supported(config):
        return gpt2.GPT2Decoder(config, weights, device, dtype, in_int8=precision == "int8")
    from tweetgen.generation import causal_lm  # imports transformers: 3 s

    return causal_lm.load(config_json, weights, device, dtype, in_int8=precision == "int8")
