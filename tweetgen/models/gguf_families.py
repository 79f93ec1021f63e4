"""What GGUF files and transformers call the same things, in both directions.

Names of keys and tensors: gguf.constants and gguf.tensor_mapping; what is stored another way round:
`convert_hf_to_gguf.py` of https://github.com/ggml-org/llama.cpp.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


class Family(NamedTuple):
    """One architecture: its `model_type` in transformers, and the names of its parts there."""

    model_type: str
    keys: dict[str, str]  # metadata (without the architecture) -> config
    outer: dict[str, str]  # tensors outside the layers
    layers: str
    inner: dict[str, str]  # tensors of a layer
    rotates_pairs: bool = False  # rows of queries and keys are stored in llama.cpp's rope order


_LLAMA_KEYS = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
_LLAMA_OUTER = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_LLAMA_INNER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_LLAMA = (_LLAMA_KEYS, _LLAMA_OUTER, "model.layers", _LLAMA_INNER)
GPT2 = Family(
    "gpt2",
    {
        "context_length": "n_positions",
        "embedding_length": "n_embd",
        "block_count": "n_layer",
        "feed_forward_length": "n_inner",
        "attention.head_count": "n_head",
        "attention.layer_norm_epsilon": "layer_norm_epsilon",
    },
    {
        "token_embd": "transformer.wte",
        "position_embd": "transformer.wpe",
        "output_norm": "transformer.ln_f",
        "output": "lm_head",
    },
    "transformer.h",
    {
        "attn_norm": "ln_1",
        "attn_qkv": "attn.c_attn",
        "attn_output": "attn.c_proj",
        "ffn_norm": "ln_2",
        "ffn_up": "mlp.c_fc",
        "ffn_down": "mlp.c_proj",
    },
)
# By llama.cpp's name of the architecture.
FAMILIES = {
    "llama": Family("llama", *_LLAMA, rotates_pairs=True),
    "qwen2": Family("qwen2", *_LLAMA),
    "qwen3": Family("qwen3", *_LLAMA),
    "gpt2": GPT2,
}
ARCHITECTURES = {family.model_type: name for name, family in FAMILIES.items()}
ARCHITECTURES["mistral"] = "llama"  # the same layers

# How Llama 3.1 and later stretch their context; only the factor differs between them.
LLAMA3_ROPE: dict[str, Any] = {
    "rope_type": "llama3",
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
ROPE_FACTORS = "rope_freqs.weight"


def tensor_name(family: Family, name: str) -> str:
    """transformers' name of a tensor: "blk.3.ffn_up.weight" -> "model.layers.3.mlp.up_proj.weight".

    Raises:
        KeyError: the family has no such tensor.
    """
    path, kind = name.rsplit(".", 1)
    if not path.startswith("blk."):
        return f"{family.outer[path]}.{kind}"
    _, layer, part = path.split(".")
    return f"{family.layers}.{layer}.{family.inner[part]}.{kind}"


def gguf_name(family: Family, name: str) -> str:
    """The GGUF name of a tensor of transformers: the reverse of `tensor_name`."""
    path, kind = name.rsplit(".", 1)
    if not path.startswith(f"{family.layers}."):
        return f"{_reversed(family.outer)[path]}.{kind}"
    layer, part = path.removeprefix(f"{family.layers}.").split(".", 1)
    return f"blk.{layer}.{_reversed(family.inner)[part]}.{kind}"


def from_gguf(family: Family, name: str, values: np.ndarray, config: Mapping[str, Any]) -> Any:
    """A tensor of a file as transformers keeps it; `name` is the file's."""
    if is_transposed(family, name, values.ndim):
        return np.ascontiguousarray(values.T)
    heads = _rotated_heads(family, name, config)
    if not heads:
        return values
    pairs = values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:])
    return pairs.swapaxes(1, 2).reshape(values.shape)


def to_gguf(family: Family, name: str, values: np.ndarray, config: Mapping[str, Any]) -> Any:
    """A tensor of transformers as files keep it: the reverse of `from_gguf`; `name` is the file's.

    llama.cpp's rope turns neighbours, Llama's the halves of a head: rows 0, 1, 2, 3 of a head of
    four become 0, 2, 1, 3.
    """
    if is_transposed(family, name, values.ndim):
        return values.T
    heads = _rotated_heads(family, name, config)
    if not heads:
        return values
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def is_transposed(family: Family, name: str, num_dimensions: int) -> bool:
    """Whether transformers keeps this tensor the other way round, as GPT-2's layers do."""
    outer = name.removesuffix(".weight") in family.outer
    return family is GPT2 and num_dimensions == 2 and not outer


def llama3_rope_factors(factor: float, theta: float, head_size: int) -> np.ndarray:
    """What Llama 3.1 divides each rope frequency by (head_size / 2,), as `rope_freqs` has it.

    Formula: `_compute_llama3_parameters` of transformers, with the constants of LLAMA3_ROPE.
    """
    frequencies = theta ** (-np.arange(0, head_size, 2, dtype=np.float64) / head_size)
    original = LLAMA3_ROPE["original_max_position_embeddings"]
    low, high = LLAMA3_ROPE["low_freq_factor"], LLAMA3_ROPE["high_freq_factor"]
    turns = original * frequencies / (2 * math.pi)  # in the original context
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    factors: np.ndarray = (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)
    return factors


def _rotated_heads(family: Family, name: str, config: Mapping[str, Any]) -> int:
    """How many heads the rows of this tensor are, 0 if it is not in rope order."""
    heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}
    part = name.split(".")[-2]
    return int(config[heads[part]]) if family.rotates_pairs and part in heads else 0


def _reversed(names: dict[str, str]) -> dict[str, str]:
    return {value: key for key, value in names.items()}
