"""What GGUF files and transformers call the same things, in both directions.

Names of keys: gguf.constants; what is stored another way round: `convert_hf_to_gguf.py` of
https://github.com/ggml-org/llama.cpp.
"""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

_LLAMA_KEYS = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
_GPT2_KEYS = {
    "context_length": "n_positions",
    "embedding_length": "n_embd",
    "block_count": "n_layer",
    "feed_forward_length": "n_inner",
    "attention.head_count": "n_head",
    "attention.layer_norm_epsilon": "layer_norm_epsilon",
}
# Of each architecture, named as llama.cpp and transformers do: metadata -> config.
KEYS = {"llama": _LLAMA_KEYS, "qwen2": _LLAMA_KEYS, "qwen3": _LLAMA_KEYS, "gpt2": _GPT2_KEYS}
# The `model_type` of transformers -> the architecture; Mistral has the layers of Llama.
ARCHITECTURES = {**dict(zip(KEYS, KEYS, strict=True)), "mistral": "llama"}

# How Llama 3.1 and later stretch their context; only the factor differs between them.
LLAMA3_ROPE: dict[str, Any] = {
    "rope_type": "llama3",
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
ROPE_FACTORS = "rope_freqs.weight"


def gguf_names(architecture: str, names: Iterable[str], num_layers: int) -> dict[str, str]:
    """The GGUF name of each tensor of transformers: {"lm_head.weight": "output.weight"}."""
    from gguf import MODEL_ARCH, get_tensor_name_map

    known = get_tensor_name_map(MODEL_ARCH[architecture.upper()], num_layers)
    return {name: str(known.get_name(name, (".weight", ".bias"))) for name in names}


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


def _reordered(
    architecture: str, name: str, values: Any, config: Mapping[str, Any], groups: tuple[int, int]
) -> Any:
    """GPT-2's matrices transposed; rows of Llama's queries and keys regrouped within each head.

    llama.cpp's rope turns neighbours, Llama's the halves of a head: rows 0, 1, 2, 3 of a head of
    four of transformers are 0, 2, 1, 3 in a file.
    """
    heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}
    part = name.split(".")[-2]
    if architecture == "gpt2" and name.startswith("blk.") and values.ndim == 2:
        return values.T
    if architecture != "llama" or part not in heads:
        return values
    grouped = values.reshape(config[heads[part]], *groups, *values.shape[1:])
    return grouped.swapaxes(1, 2).reshape(values.shape)


# A tensor of a file as transformers keeps it, and the reverse; `name` is the file's in both.
from_gguf = partial(_reordered, groups=(-1, 2))
to_gguf = partial(_reordered, groups=(2, -1))
