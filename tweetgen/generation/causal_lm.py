"""Any other causal language model with a key/value cache as a decoder, through transformers.

Shapes: B rows, T tokens of the longest row, H key heads of width d, V vocabulary.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache

from tweetgen import models
from tweetgen.errors import TweetgenError
from tweetgen.generation.decoder import Decoder, Prefix
from tweetgen.generation.linear import Int8Linear

MOST_SPARE = 16  # masked tokens in front of the longest row before they are cut off


def load(
    config_json: str,
    weights: dict[str, Tensor],
    device: torch.device,
    dtype: torch.dtype,
    *,
    in_int8: bool,
) -> Decoder:
    """A decoder of a model; TweetgenError if transformers does not know it, or it has no cache."""
    model = models.model_from_weights(config_json, weights).eval()
    arguments = inspect.signature(model.forward).parameters
    if "past_key_values" not in arguments or model._is_stateful:
        raise TweetgenError(
            f"no tweets can be drawn from a {model.config.model_type} model: it has no key/value "
            "cache. Fine-tune one that has, such as those of Llama's or GPT-2's family."
        )
    model = model.to(device, dtype)
    if in_int8:
        replace_linears(model)
    return CachedDecoder(model, takes_positions="position_ids" in arguments)


def replace_linears(model: torch.nn.Module) -> None:
    """Compute all linear layers of a model in 8 bits."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Linear):
                bias = None if child.bias is None else child.bias.detach()
                setattr(module, name, Int8Linear(child.weight.detach(), bias))


class CachedDecoder:
    """A Decoder of a model whose whole memory is keys and values.

    All rows end at the same place: a shorter one has masked tokens in front. The cache keeps all
    tokens also where the model has a sliding window, which is then a matter of its mask.
    """

    def __init__(self, model: Any, *, takes_positions: bool) -> None:
        self.device = model.device
        self.context_length = models.context_length(model.config.to_dict())
        self.vocabulary_size: int = model.config.get_text_config().vocab_size
        self._model, self._takes_positions = model, takes_positions
        self._cache: Any = DynamicCache()  # each layer's keys and values are (B, H, T, d)
        self._seen = self._ones(0)[:0]  # (B, 1, T, 1), 0 = masked

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        return [self._read(prompt) for prompt in prompts]

    def place(self, row: int, prefix: Prefix) -> None:
        if not self._cache.layers:
            self._cache, self._seen = DynamicCache(prefix.cache), self._ones(prefix.length)
            return
        missing = prefix.length - self._seen.shape[2]
        if missing > 0:
            self._change(lambda rows: F.pad(rows, (0, 0, missing, 0)))
        self._seen = _put(self._seen, row, self._ones(prefix.length))
        for layer, (keys, values) in zip(self._cache.layers, prefix.cache, strict=True):
            if keys is not None:
                layer.keys = _put(layer.keys, row, keys)
                layer.values = _put(layer.values, row, values)

    def move(self, source: int, target: int) -> None:
        def copy(rows: Tensor) -> Tensor:
            rows[target] = rows[source]
            return rows

        self._change(copy)

    def step(self, tokens: Tensor) -> Tensor:
        self._trim(len(tokens))
        self._seen = F.pad(self._seen, (0, 0, 0, 1), value=1)
        return self._forward(tokens[:, None], self._seen[:, 0, :, 0], self._cache)

    def _ones(self, length: int) -> Tensor:
        return torch.ones(1, 1, length, 1, dtype=torch.int64, device=self.device)

    def _read(self, prompt: Sequence[int]) -> Prefix:
        cache: Any = DynamicCache()
        tokens = torch.tensor([prompt], device=self.device)
        logits = self._forward(tokens, torch.ones_like(tokens), cache)
        pairs = [(layer.keys, layer.values) for layer in cache.layers]
        return Prefix(len(prompt), pairs, logits[0])

    def _forward(self, tokens: Tensor, seen: Tensor, cache: Any) -> Tensor:
        """Logits after the last of the new tokens, (B, new tokens) -> float32 (B, V)."""
        positions = seen.cumsum(1)[:, -tokens.shape[1] :] - 1
        output = self._model(
            input_ids=tokens,
            attention_mask=seen,
            past_key_values=cache,
            use_cache=True,
            **({"position_ids": positions} if self._takes_positions else {}),
        )
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def _trim(self, num_rows: int) -> None:
        """Drop the rows from this one on, and what is masked in all others."""
        num_tokens = self._seen.shape[2]
        spare = num_tokens - int(self._seen[:num_rows].sum(2).max())
        spare = spare if spare > MOST_SPARE else 0
        if num_rows < len(self._seen) or spare:
            self._change(lambda rows: rows[:num_rows, :, spare:])

    def _change(self, change: Callable[[Tensor], Tensor]) -> None:
        """Change all that is kept of the rows; some models share keys and values between layers."""
        self._seen = change(self._seen)
        for layer in self._cache.layers:
            if layer.is_initialized:
                layer.keys, layer.values = change(layer.keys), change(layer.values)


def _put(rows: Tensor, row: int, new: Tensor) -> Tensor:
    """(B, H, T, d) with `new`, (1, H, up to T, d), as a row, or after the last one."""
    new = F.pad(new, (0, 0, rows.shape[2] - new.shape[2], 0))
    if row == len(rows):
        return torch.cat([rows, new])
    rows[row] = new[0]
    return rows
