"""GPT-2 in plain torch: nothing to import but torch, and few kernels a step.

Shapes: N tokens in all, D width.
"""

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from tweetgen.generation.linear import activate
from tweetgen.generation.transformer import Layer, Rowwise, Shape, TransformerDecoder, Turn, Weights


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by tanh, as x * sigmoid(2 u): half the time of torch's own, which computes tanh."""
    twice_u = (x * x).mul_(2 * math.sqrt(2 / math.pi) * 0.044715)
    return twice_u.add_(2 * math.sqrt(2 / math.pi)).mul_(x).sigmoid_().mul_(x)


# The activations by the names that transformers has for them; "gelu" is by the error function.
GELUS: dict[str, Rowwise] = {
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "gelu": F.gelu,
}


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
        num_heads = config.get("n_head", 12)
        head_width, context_length = embedding.shape[1] // num_heads, len(self._position_embedding)
        epsilon = config.get("layer_norm_epsilon", 1e-5)
        gelu = GELUS[config.get("activation_function", "gelu_new")]

        def norm(name: str) -> Rowwise:
            weight, bias = weights.full(f"{name}.weight"), weights.full(f"{name}.bias")
            return lambda x: F.layer_norm(x, weight.shape, weight, bias, epsilon)

        def mlp(name: str) -> Rowwise:
            wide, narrow = (
                weights.linear(f"{name}.{part}", transposed=True) for part in ("c_fc", "c_proj")
            )
            return lambda x: narrow(activate(gelu, wide(x)))

        layers = [
            Layer(
                attention_norm=norm(f"{name}.ln_1"),
                attention_in=weights.linear(f"{name}.attn.c_attn", transposed=True),
                attention_out=weights.linear(f"{name}.attn.c_proj", transposed=True),
                mlp_norm=norm(f"{name}.ln_2"),
                mlp=mlp(f"{name}.mlp"),
            )
            for name in map("transformer.h.{}".format, range(weights.count(".ln_1.weight")))
        ]
        shape = Shape(num_heads, num_heads, head_width, context_length)
        head = weights.head("lm_head.weight", "transformer.wte.weight")
        super().__init__(shape, embedding, layers, norm("transformer.ln_f"), head)

    def _with_positions(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Turn]:
        return x + self._position_embedding[positions], lambda _, qk: qk
