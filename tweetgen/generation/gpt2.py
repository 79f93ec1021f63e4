"""GPT-2 as a decoder in plain torch: nothing to import but torch, and few kernels a step.

Shapes: B rows, T tokens of the longest row, N tokens in all, D width, H heads of width D / H.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tweetgen.generation.decoder import Prefix
from tweetgen.generation.linear import FullLinear, Int8Linear


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by tanh, as x * sigmoid(2 u): half the time of torch's own, which computes tanh."""
    twice_u = (x * x).mul_(2 * math.sqrt(2 / math.pi) * 0.044715)
    return twice_u.add_(2 * math.sqrt(2 / math.pi)).mul_(x).sigmoid_().mul_(x)


def gelu(x: Tensor) -> Tensor:
    """GELU by the error function."""
    return F.gelu(x)


GELUS = {"gelu_new": gelu_tanh, "gelu_pytorch_tanh": gelu_tanh, "gelu": gelu}

# Keys and values of so many tokens are looked at together: sums over rows of different lengths
# then run in the same order, whatever the longest row.
TOKEN_BLOCK = 8
SMALLEST_ROOM = 64  # tokens

Linear = Callable[[Tensor], Tensor]
Attention = Callable[[int, Tensor], Tensor]  # (layer, queries, keys and values (N, 3D)) -> (N, D)


class Norm(NamedTuple):
    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)"""
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.epsilon)


class Block(NamedTuple):
    """One layer of the model."""

    attention_norm: Norm
    attention_in: Linear
    attention_out: Linear
    mlp_norm: Norm
    mlp_in: Linear
    mlp_out: Linear


def is_supported(config: dict[str, Any]) -> bool:
    """Whether a transformers config is of a model that GPT2Decoder computes."""
    return (
        config["model_type"] == "gpt2"
        and config.get("activation_function", "gelu_new") in GELUS
        and config.get("scale_attn_weights", True)
        and not config.get("scale_attn_by_inverse_layer_idx", False)
        and not config.get("add_cross_attention", False)
    )


class GPT2Decoder:
    """A Decoder of transformers' GPT2LMHeadModel.

    Only the matrix products are in the number format asked for, all else is float32.
    """

    def __init__(
        self,
        config: dict[str, Any],
        weights: dict[str, Tensor],
        device: torch.device,
        dtype: torch.dtype,
        *,
        in_int8: bool,
    ) -> None:
        """Build it from a config and the state_dict in float32."""
        self.device = device
        self._config, self._weights = config, weights
        self._dtype, self._in_int8 = dtype, in_int8
        self._token_embedding = self._tensor("transformer.wte.weight")  # (V, D)
        self._position_embedding = self._tensor("transformer.wpe.weight")
        self.context_length = len(self._position_embedding)
        self.vocabulary_size = len(self._token_embedding)
        num_layers = sum(name.endswith(".ln_1.weight") for name in weights)
        self._blocks = [self._block(f"transformer.h.{layer}.") for layer in range(num_layers)]
        self._final_norm = self._norm("transformer.ln_f.")
        self._head: Linear = self._make_head()
        self._gelu = GELUS[config.get("activation_function", "gelu_new")]
        self._num_heads: int = config.get("n_head", 12)
        self._head_width = self._token_embedding.shape[1] // self._num_heads
        self._cache = self._empty_cache(0, SMALLEST_ROOM)
        self._lengths = torch.zeros(0, dtype=torch.int64, device=device)
        del self._weights

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        lengths = [len(prompt) for prompt in prompts]
        caches: list[list[Tensor]] = [[] for _ in prompts]

        def attend(layer: int, qkv: Tensor) -> Tensor:
            outputs = []
            for cache, own in zip(caches, qkv.split(lengths), strict=True):
                q, k, v = own.view(len(own), 3, self._num_heads, -1).permute(1, 2, 0, 3)
                cache.append(torch.stack([k, v]))
                output = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)
                outputs.append(output[0].transpose(0, 1).flatten(1))
            return torch.cat(outputs)

        tokens = torch.tensor([token for prompt in prompts for token in prompt], device=self.device)
        positions = torch.cat([torch.arange(length, device=self.device) for length in lengths])
        ends = torch.tensor(lengths, device=self.device).cumsum(0) - 1
        logits = self._head(self._final_norm(self._run(tokens, positions, attend)[ends]))
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
        in_view = math.ceil(longest / TOKEN_BLOCK) * TOKEN_BLOCK
        rows = torch.arange(num_rows, device=self.device)
        unseen = torch.arange(in_view, device=self.device) > positions[:, None]
        bias = torch.zeros(unseen.shape, device=self.device).masked_fill_(unseen, -math.inf)
        bias = bias[:, None]  # (B, 1, T)
        scale = self._head_width**-0.5

        def attend(layer: int, qkv: Tensor) -> Tensor:
            split = qkv.view(num_rows, 3, self._num_heads, self._head_width)
            cache = self._cache[layer]
            cache[:, rows, :, positions] = split[:, 1:]
            keys, values = cache[0, :num_rows, :, :in_view], cache[1, :num_rows, :, :in_view]
            scores = (keys * split[:, 0, :, None]).sum(-1).mul_(scale).add_(bias)  # (B, H, T)
            return (values * scores.softmax(-1)[..., None]).sum(2).flatten(1)

        x = self._run(tokens, positions, attend)
        self._lengths[:num_rows] += 1
        return self._head(self._final_norm(x))

    def _run(self, tokens: Tensor, positions: Tensor, attend: Attention) -> Tensor:
        """int64 (N,), (N,) -> (N, D), before the final norm."""
        x = self._token_embedding[tokens] + self._position_embedding[positions]
        for layer, block in enumerate(self._blocks):
            x += block.attention_out(attend(layer, block.attention_in(block.attention_norm(x))))
            x += block.mlp_out(self._gelu(block.mlp_in(block.mlp_norm(x))))
        return x

    def _make_room(self, num_rows: int, num_tokens: int) -> None:
        """Let the cache hold so many rows of so many tokens, twice as many as before or more."""
        _, _, old_rows, _, old_tokens, _ = self._cache.shape
        if num_rows <= old_rows and num_tokens <= old_tokens:
            return
        new_rows = old_rows if num_rows <= old_rows else max(num_rows, 2 * old_rows)
        new_tokens = old_tokens if num_tokens <= old_tokens else max(num_tokens, 2 * old_tokens)
        cache = self._empty_cache(new_rows, math.ceil(new_tokens / TOKEN_BLOCK) * TOKEN_BLOCK)
        cache[:, :, :old_rows, :, :old_tokens] = self._cache
        self._cache = cache
        self._lengths = F.pad(self._lengths, (0, new_rows - old_rows))

    def _empty_cache(self, num_rows: int, num_tokens: int) -> Tensor:
        """Keys and values of all layers; zeros, for what is masked still counts if it is NaN."""
        shape = (len(self._blocks), 2, num_rows, self._num_heads, num_tokens, self._head_width)
        return torch.zeros(shape, device=self.device)

    def _tensor(self, name: str) -> Tensor:
        return self._weights[name].to(self.device)

    def _norm(self, name: str) -> Norm:
        epsilon = self._config.get("layer_norm_epsilon", 1e-5)
        return Norm(self._tensor(f"{name}weight"), self._tensor(f"{name}bias"), epsilon)

    def _block(self, name: str) -> Block:
        return Block(
            attention_norm=self._norm(f"{name}ln_1."),
            attention_in=self._linear(f"{name}attn.c_attn."),
            attention_out=self._linear(f"{name}attn.c_proj."),
            mlp_norm=self._norm(f"{name}ln_2."),
            mlp_in=self._linear(f"{name}mlp.c_fc."),
            mlp_out=self._linear(f"{name}mlp.c_proj."),
        )

    def _linear(self, name: str) -> Linear:
        weight, bias = self._tensor(f"{name}weight").t(), self._tensor(f"{name}bias")
        if self._in_int8:
            return Int8Linear(weight, bias)
        return FullLinear(weight.contiguous().to(self._dtype), bias.to(self._dtype))

    def _make_head(self) -> Linear:
        name = "lm_head.weight" if "lm_head.weight" in self._weights else "transformer.wte.weight"
        if self._in_int8:
            return Int8Linear(self._tensor(name), None)
        # In float32 always: bfloat16 would round GPT-2's logits, about -100, to halves.
        return FullLinear(self._tensor(name), None)
