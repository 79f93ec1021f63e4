"""GPT-2 in plain torch: nothing to import but torch, and few kernels a step.

Shapes: N tokens in all, D width, H heads of width d = D / H.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from tweetgen.generation.linear import Linear, activate
from tweetgen.generation.transformer import Attention, Shape, TransformerDecoder, Weights


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by tanh, as x * sigmoid(2 u): half the time of torch's own, which computes tanh."""
    twice_u = (x * x).mul_(2 * math.sqrt(2 / math.pi) * 0.044715)
    return twice_u.add_(2 * math.sqrt(2 / math.pi)).mul_(x).sigmoid_().mul_(x)


# The activations by the names that transformers has for them; "gelu" is by the error function.
GELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "gelu": F.gelu,
}


class Norm(NamedTuple):
    """Layer normalisation over the width."""

    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)"""
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.epsilon)


class Layer(NamedTuple):
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


class GPT2Decoder(TransformerDecoder):
    """A Decoder of transformers' GPT2LMHeadModel."""

    def __init__(self, config: dict[str, Any], weights: Weights) -> None:
        """Build it from a config that `is_supported` and its state_dict."""
        embedding = weights.stored("transformer.wte.weight")
        self._position_embedding = weights.full("transformer.wpe.weight")
        num_layers, num_heads = weights.count(".ln_1.weight"), config.get("n_head", 12)
        head_width = embedding.shape[1] // num_heads
        context_length = len(self._position_embedding)
        shape = Shape(num_layers, num_heads, num_heads, head_width, context_length)
        super().__init__(shape, embedding, weights.head("lm_head.weight", "transformer.wte.weight"))
        self._gelu = GELUS[config.get("activation_function", "gelu_new")]

        def norm(name: str) -> Norm:
            epsilon = config.get("layer_norm_epsilon", 1e-5)
            return Norm(weights.full(f"{name}.weight"), weights.full(f"{name}.bias"), epsilon)

        self._layers = [
            Layer(
                attention_norm=norm(f"{name}.ln_1"),
                attention_in=weights.linear(f"{name}.attn.c_attn", transposed=True),
                attention_out=weights.linear(f"{name}.attn.c_proj", transposed=True),
                mlp_norm=norm(f"{name}.ln_2"),
                mlp_in=weights.linear(f"{name}.mlp.c_fc", transposed=True),
                mlp_out=weights.linear(f"{name}.mlp.c_proj", transposed=True),
            )
            for name in (f"transformer.h.{number}" for number in range(num_layers))
        ]
        self._last_norm = norm("transformer.ln_f")

    def _run(self, x: Tensor, positions: Tensor, attend: Attention) -> Tensor:
        x = x + self._position_embedding[positions]
        split = (len(x), 3, self._shape.num_heads, self._shape.head_width)
        for number, layer in enumerate(self._layers):
            q, k, v = layer.attention_in(layer.attention_norm(x)).view(split).unbind(1)
            x += layer.attention_out(attend(number, q, k, v))
            x += layer.mlp_out(activate(self._gelu, layer.mlp_in(layer.mlp_norm(x))))
        return self._last_norm(x)
