"""Llama and the models built like it (SmolLM2, Mistral, Qwen2, Qwen3) in plain torch.

Shapes: N tokens in all, D width; H heads and K key heads of width d.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tweetgen.generation.linear import activate
from tweetgen.generation.transformer import Layer, Rowwise, Shape, TransformerDecoder, Turn, Weights

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
# Shorter windows of attention than this matter within a tweet: transformers knows how.
SMALLEST_WINDOW = 1024  # tokens
# What transformers takes where a config is silent.
DEFAULT_HEADS, DEFAULT_EPSILON, DEFAULT_CONTEXT, DEFAULT_THETA = 32, 1e-6, 2048, 10_000.0


def is_supported(config: dict[str, Any]) -> bool:
    """Whether a transformers config is of a model that LlamaDecoder computes."""
    rope = _rope(config)
    return (
        config.get("model_type") in FAMILIES
        and config.get("hidden_act", "silu") == "silu"
        and rope.get("rope_type", rope.get("type", "default")) == "default"
        and rope.get("partial_rotary_factor", 1) == 1
        and _window(config) >= SMALLEST_WINDOW
    )


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """How positions turn queries and keys; older configs have two keys for it."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return {"rope_theta": config.get("rope_theta", DEFAULT_THETA), **rope}


def _window(config: dict[str, Any]) -> float:
    """How many tokens attention goes back."""
    is_used = config.get("use_sliding_window", True)
    return (is_used and config.get("sliding_window")) or float("inf")


class LlamaDecoder(TransformerDecoder):
    """A Decoder of transformers' LlamaForCausalLM and its kin.

    Biases, norms of queries and keys, and a head of its own are used where there are weights.
    """

    def __init__(self, config: dict[str, Any], weights: Weights) -> None:
        """Build it from a config that `is_supported` and its state_dict."""
        num_heads = config.get("num_attention_heads", DEFAULT_HEADS)
        first = "model.layers.0.self_attn"
        head_width = len(weights.stored(f"{first}.q_proj.weight")) // num_heads
        num_key_heads = len(weights.stored(f"{first}.k_proj.weight")) // head_width
        context_length = config.get("max_position_embeddings", DEFAULT_CONTEXT)
        context_length = int(min(context_length, _window(config)))
        shape = Shape(num_heads, num_key_heads, head_width, context_length)
        self._epsilon = config.get("rms_norm_eps", DEFAULT_EPSILON)
        names = [f"model.layers.{n}" for n in range(weights.count(".self_attn.q_proj.weight"))]
        super().__init__(
            shape,
            weights.stored("model.embed_tokens.weight"),
            [self._layer(weights, name) for name in names],
            self._norm(weights, "model.norm"),
            weights.head("lm_head.weight", "model.embed_tokens.weight"),
        )
        exponents = torch.arange(0, head_width, 2, device=self.device) / head_width
        self._frequencies = _rope(config)["rope_theta"] ** -exponents  # (d / 2,)
        self._head_norms: list[Tensor] = []  # of each layer, (H + K, d): Qwen3 has them
        if f"{first}.q_norm.weight" in weights:
            for name in names:
                q, k = (weights.full(f"{name}.self_attn.{part}_norm.weight") for part in "qk")
                norms = [q.expand(num_heads, -1), k.expand(num_key_heads, -1)]
                self._head_norms.append(torch.cat(norms))

    def _layer(self, weights: Weights, name: str) -> Layer:
        attention, mlp = f"{name}.self_attn", f"{name}.mlp"
        gate_and_up = weights.linear(f"{mlp}.gate_proj", f"{mlp}.up_proj")
        down = weights.linear(f"{mlp}.down_proj")

        def gated(x: Tensor) -> Tensor:
            gate, up = gate_and_up(x).chunk(2, 1)
            return down(activate(F.silu, gate) * up)

        return Layer(
            attention_norm=self._norm(weights, f"{name}.input_layernorm"),
            attention_in=weights.linear(*(f"{attention}.{part}_proj" for part in "qkv")),
            attention_out=weights.linear(f"{attention}.o_proj"),
            mlp_norm=self._norm(weights, f"{name}.post_attention_layernorm"),
            mlp=gated,
        )

    def _norm(self, weights: Weights, name: str) -> Rowwise:
        # Without `self` in it: a decoder that holds itself would keep its memory until the garbage
        # collector looks, and each sample of a training would take half a gigabyte more.
        weight, epsilon = weights.full(f"{name}.weight"), self._epsilon
        return lambda x: F.rms_norm(x, weight.shape, weight, epsilon)

    def _with_positions(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Turn]:
        """Rotary position embedding (Su et al., arXiv 2104.09864), halves of a head as pairs."""
        angles = positions[:, None] * self._frequencies  # (N, d / 2)
        cos, sin = angles.cos(), angles.sin()
        cos = torch.cat([cos, cos], 1)[:, None]  # (N, 1, d)
        sin = torch.cat([-sin, sin], 1)[:, None]

        def turn(number: int, qk: Tensor) -> Tensor:
            if self._head_norms:
                qk = F.rms_norm(qk, qk.shape[-1:], eps=self._epsilon) * self._head_norms[number]
            return torch.addcmul(qk * cos, qk.roll(qk.shape[2] // 2, 2), sin)

        return x, turn
