"""Llama and the models built like it (SmolLM2, Mistral, Qwen2, Qwen3) in plain torch.

Shapes: N tokens in all, D width; H heads and K key heads of width d.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tweetgen.generation.linear import Linear, activate
from tweetgen.generation.transformer import Attention, Shape, TransformerDecoder, Weights

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
# Shorter windows of attention than this matter within a tweet: transformers knows how.
SMALLEST_WINDOW = 1024  # tokens
# What transformers takes where a config is silent.
DEFAULT_HEADS, DEFAULT_EPSILON, DEFAULT_CONTEXT, DEFAULT_THETA = 32, 1e-6, 2048, 10_000.0


class Layer(NamedTuple):
    """One layer of the model; products that have the same input are one."""

    attention_norm: Tensor
    attention_in: Linear  # queries, keys and values
    head_norms: Tensor | None  # (H + K, d), of Qwen3
    attention_out: Linear
    mlp_norm: Tensor
    mlp_in: Linear  # gate and up
    mlp_out: Linear


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
        shape = Shape(
            num_layers=weights.count(".self_attn.q_proj.weight"),
            num_heads=num_heads,
            num_key_heads=num_key_heads,
            head_width=head_width,
            context_length=int(min(context_length, _window(config))),
        )
        embedding = weights.stored("model.embed_tokens.weight")
        super().__init__(
            shape, embedding, weights.head("lm_head.weight", "model.embed_tokens.weight")
        )
        self._epsilon = config.get("rms_norm_eps", DEFAULT_EPSILON)
        exponents = torch.arange(0, head_width, 2, device=self.device) / head_width
        self._frequencies = _rope(config)["rope_theta"] ** -exponents  # (d / 2,)
        self._layers = [self._layer(weights, number) for number in range(shape.num_layers)]
        self._last_norm = weights.full("model.norm.weight")

    def _layer(self, weights: Weights, number: int) -> Layer:
        name = f"model.layers.{number}"
        attention, mlp = f"{name}.self_attn", f"{name}.mlp"
        head_norms = None
        if f"{attention}.q_norm.weight" in weights:
            q, k = (weights.full(f"{attention}.{part}_norm.weight") for part in "qk")
            counts = (self._shape.num_heads, self._shape.num_key_heads)
            head_norms = torch.cat([q.expand(counts[0], -1), k.expand(counts[1], -1)])
        return Layer(
            attention_norm=weights.full(f"{name}.input_layernorm.weight"),
            attention_in=weights.linear(*(f"{attention}.{part}_proj" for part in "qkv")),
            head_norms=head_norms,
            attention_out=weights.linear(f"{attention}.o_proj"),
            mlp_norm=weights.full(f"{name}.post_attention_layernorm.weight"),
            mlp_in=weights.linear(f"{mlp}.gate_proj", f"{mlp}.up_proj"),
            mlp_out=weights.linear(f"{mlp}.down_proj"),
        )

    def _run(self, x: Tensor, positions: Tensor, attend: Attention) -> Tensor:
        _, num_heads, num_key_heads, head_width, _ = self._shape
        num_turned = num_heads + num_key_heads
        angles = positions[:, None] * self._frequencies  # (N, d / 2)
        cos, sin = angles.cos(), angles.sin()
        cos = torch.cat([cos, cos], 1)[:, None]  # (N, 1, d)
        sin = torch.cat([-sin, sin], 1)[:, None]
        for number, layer in enumerate(self._layers):
            qkv = layer.attention_in(self._norm(x, layer.attention_norm))
            qkv = qkv.view(len(x), -1, head_width)
            qk, v = qkv[:, :num_turned], qkv[:, num_turned:]
            if layer.head_norms is not None:
                qk = F.rms_norm(qk, qk.shape[-1:], eps=self._epsilon) * layer.head_norms
            # Rotary position embedding (Su et al., arXiv 2104.09864), halves of a head as pairs.
            qk = torch.addcmul(qk * cos, qk.roll(head_width // 2, 2), sin)
            x = x + layer.attention_out(attend(number, qk[:, :num_heads], qk[:, num_heads:], v))
            gate, up = layer.mlp_in(self._norm(x, layer.mlp_norm)).chunk(2, 1)
            x = x + layer.mlp_out(activate(F.silu, gate) * up)
        return self._norm(x, self._last_norm)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], weight, self._epsilon)
