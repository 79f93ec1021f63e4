"""What the decoders in plain torch share: weights by name, cached keys and values, attention.

Shapes: B rows, T tokens of the longest row, N tokens in all, D width, L layers; H heads of width d,
in groups of G that look at one of K key heads (H = G K).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tweetgen.generation.decoder import Prefix
from tweetgen.generation.linear import FullLinear, Int8Linear, Linear

# Keys and values of so many tokens are looked at together: sums over rows of different lengths
# then run in the same order whatever the longest row, 16 numbers at once with AVX-512.
TOKEN_BLOCK = 16
# Torch computes smaller products of matrices (M K N) in a loop that sums in another order.
LEAST_PRODUCT = 400
SMALLEST_ROOM = 64  # tokens

Rowwise = Callable[[Tensor], Tensor]  # each row by itself, as all but attention is
# (layer, queries (N, H, d), keys (N, K, d), values (N, K, d)) -> (N, H d)
Attention = Callable[[int, Tensor, Tensor, Tensor], Tensor]
# (layer, queries and keys (N, H + K, d)) -> the same with their positions
Turn = Callable[[int, Tensor], Tensor]


class Weights:
    """A state_dict as layers: on the device, and in the number format that is computed in."""

    def __init__(
        self, tensors: dict[str, Tensor], device: torch.device, dtype: torch.dtype, *, in_int8: bool
    ) -> None:
        """`tensors` in any 16 or 32 bits; each is converted when asked for, one at a time."""
        self.device = device
        self._tensors, self._dtype, self._in_int8 = tensors, dtype, in_int8

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def count(self, ending: str) -> int:
        """How many names end so."""
        return sum(name.endswith(ending) for name in self._tensors)

    def stored(self, name: str) -> Tensor:
        """A tensor in the number format of the file, not copied where the device is the CPU."""
        return self._tensors[name].to(self.device)

    def full(self, name: str) -> Tensor:
        """A tensor in float32."""
        return self._tensors[name].to(self.device, torch.float32)

    def linear(self, *names: str, transposed: bool = False) -> Linear:
        """One product for the layers of these names ("...q_proj"), their outputs side by side."""
        weights = [self.full(f"{name}.weight") for name in names]
        if transposed:
            weights = [weight.t() for weight in weights]
        weight = torch.cat(weights) if len(weights) > 1 else weights[0].contiguous()
        has_bias = f"{names[0]}.bias" in self  # all of them, or none
        bias = torch.cat([self.full(f"{name}.bias") for name in names]) if has_bias else None
        if self._in_int8:
            return Int8Linear(weight, bias)
        return FullLinear(weight.to(self._dtype), None if bias is None else bias.to(self._dtype))

    def head(self, *names: str) -> Linear:
        """The output layer, by the first of these names that is there (a tied one is the second).

        In float32 where it is not int8: bfloat16 would round GPT-2's logits, about -100, to halves.
        """
        name = next(name for name in names if name in self)
        return (Int8Linear if self._in_int8 else FullLinear)(self.full(name), None)


class Layer(NamedTuple):
    """One layer of a model; products that have the same input are one."""

    attention_norm: Rowwise
    attention_in: Linear  # queries, keys and values
    attention_out: Linear
    mlp_norm: Rowwise
    mlp: Rowwise


class Shape(NamedTuple):
    """The sizes of a model that its cache and attention depend on."""

    num_heads: int
    num_key_heads: int
    head_width: int
    context_length: int  # tokens


class TransformerDecoder(ABC):
    """A Decoder of a model whose layers are attention over all earlier tokens and an MLP.

    Only the matrix products are in the number format asked for, all else is float32.
    """

    def __init__(
        self, shape: Shape, embedding: Tensor, layers: list[Layer], last_norm: Rowwise, head: Linear
    ) -> None:
        """`embedding` is (V, D), of any number format; `head` gives logits."""
        self.device = embedding.device
        self.context_length = shape.context_length
        self.vocabulary_size = len(embedding)
        self._shape, self._embedding = shape, embedding
        self._layers, self._last_norm, self._head = layers, last_norm, head
        group = shape.num_heads // shape.num_key_heads
        self._least_view = math.ceil(LEAST_PRODUCT / (group * shape.head_width))  # tokens
        self._cache = self._empty_cache(0, _in_blocks(max(SMALLEST_ROOM, self._least_view)))
        self._lengths = torch.zeros(0, dtype=torch.int64, device=self.device)

    @abstractmethod
    def _with_positions(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Turn]:
        """Embedded tokens (N, D) with their positions, int64 (N,), and how these turn heads."""

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        lengths = [len(prompt) for prompt in prompts]
        caches: list[list[Tensor]] = [[] for _ in prompts]

        def attend(_: int, *qkv: Tensor) -> Tensor:
            outputs = []
            for cache, *own in zip(caches, *(part.split(lengths) for part in qkv), strict=True):
                q, k, v = (part.transpose(0, 1) for part in own)
                cache.append(torch.stack([k, v]))
                output = F.scaled_dot_product_attention(
                    q[None], k[None], v[None], is_causal=True, enable_gqa=len(q) != len(k)
                )
                outputs.append(output[0].transpose(0, 1).flatten(1))
            return torch.cat(outputs)

        tokens = torch.tensor([token for prompt in prompts for token in prompt], device=self.device)
        positions = torch.cat([torch.arange(length, device=self.device) for length in lengths])
        ends = torch.tensor(lengths, device=self.device).cumsum(0) - 1
        logits = self._head(self._run(tokens, positions, attend)[ends])
        return [
            Prefix(length, torch.stack(cache), row)
            for length, cache, row in zip(lengths, caches, logits, strict=True)
        ]

    def place(self, row: int, prefix: Prefix) -> None:
        self._make_room(row + 1, prefix.length)
        self._cache[:, :, row, :, : prefix.length] = prefix.cache
        self._lengths[row] = prefix.length

    def move(self, source: int, target: int) -> None:
        length = int(self._lengths[source])
        self._cache[:, :, target, :, :length] = self._cache[:, :, source, :, :length]
        self._lengths[target] = length

    def step(self, tokens: Tensor) -> Tensor:
        num_rows = len(tokens)
        positions = self._lengths[:num_rows]
        longest = int(positions.max()) + 1
        self._make_room(num_rows, longest)
        in_view = _in_blocks(max(longest, self._least_view))
        rows = torch.arange(num_rows, device=self.device)
        unseen = torch.arange(in_view, device=self.device) > positions[:, None]
        bias = torch.zeros(unseen.shape, device=self.device).masked_fill_(unseen, -math.inf)
        bias = bias[:, None, None]  # (B, 1, 1, T)
        in_groups = (num_rows, self._shape.num_key_heads, -1, self._shape.head_width)
        scale = self._shape.head_width**-0.5

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            cache = self._cache[layer]
            cache[0, rows, :, positions] = k
            cache[1, rows, :, positions] = v
            keys, values = cache[:, :num_rows, :, :in_view]  # (B, K, T, d) each
            scores = (q.reshape(in_groups) * scale) @ keys.transpose(2, 3)  # (B, K, G, T)
            sums: Tensor = scores.add_(bias).softmax(-1) @ values  # (B, K, G, d)
            return sums.view(num_rows, -1)

        x = self._run(tokens, positions, attend)
        self._lengths[:num_rows] += 1
        return self._head(x)

    def _run(self, tokens: Tensor, positions: Tensor, attend: Attention) -> Tensor:
        """Tokens and their positions, int64 (N,) -> (N, D) after the last norm."""
        embedded = F.embedding(tokens, self._embedding).float()
        x, turn = self._with_positions(embedded, positions)
        num_heads, num_key_heads, head_width, _ = self._shape
        for number, layer in enumerate(self._layers):
            qkv = layer.attention_in(layer.attention_norm(x)).view(len(x), -1, head_width)
            qk, v = qkv.split([num_heads + num_key_heads, num_key_heads], 1)
            q, k = turn(number, qk).split([num_heads, num_key_heads], 1)
            x += layer.attention_out(attend(number, q, k, v))
            x += layer.mlp(layer.mlp_norm(x))
        return self._last_norm(x)

    def _make_room(self, num_rows: int, num_tokens: int) -> None:
        """Let the cache hold so many rows of so many tokens, twice as many as before or more."""
        _, _, old_rows, _, old_tokens, _ = self._cache.shape
        if num_rows <= old_rows and num_tokens <= old_tokens:
            return
        new_rows = old_rows if num_rows <= old_rows else max(num_rows, 2 * old_rows)
        new_tokens = old_tokens if num_tokens <= old_tokens else max(num_tokens, 2 * old_tokens)
        cache = self._empty_cache(new_rows, _in_blocks(new_tokens))
        cache[:, :, :old_rows, :, :old_tokens] = self._cache
        self._cache = cache
        self._lengths = F.pad(self._lengths, (0, new_rows - old_rows))

    def _empty_cache(self, num_rows: int, num_tokens: int) -> Tensor:
        """Keys and values of all layers, (L, 2, B, K, T, d); zeros, because 0 x NaN is NaN."""
        _, num_key_heads, head_width, _ = self._shape
        shape = (len(self._layers), 2, num_rows, num_key_heads, num_tokens, head_width)
        return torch.zeros(shape, device=self.device)


def _in_blocks(num_tokens: int) -> int:
    """`num_tokens`, rounded up to whole blocks."""
    return math.ceil(num_tokens / TOKEN_BLOCK) * TOKEN_BLOCK
