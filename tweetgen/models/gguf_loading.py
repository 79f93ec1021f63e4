"""Models in one .gguf file, the format of llama.cpp.

The families of gguf_families.KEYS are read here, in a second or two; what else transformers knows
is read by its own reader, which takes half a minute and needs the package accelerate.
"""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from tweetgen.errors import TweetgenError
from tweetgen.models import gguf_families as families
from tweetgen.models.building import (
    config_json_of,
    empty_model,
    model_from_weights,
    quiet_transformers,
    told_faults,
    weights_of,
)
from tweetgen.models.gguf_file import GgufFile
from tweetgen.models.gguf_tokenizer import tokenizer_json_from


class GgufModel:
    """The model in an open file. A damaged or unknown one raises TweetgenError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._readable():
            self._file = GgufFile(path)
            self._architecture = self._file.metadata.get("general.architecture")

    def config_json(self) -> str:
        """The config of transformers."""
        with self._readable():
            if self._architecture in families.KEYS:
                return json.dumps(_config(self._file, self._architecture))
            config = self._read_by(quiet_transformers().AutoConfig)
            return str(config.to_json_string(use_diff=False))

    def tokenizer(self) -> tuple[str, int]:
        """The tokenizer.json, and the token that ends a text."""
        end = self._file.metadata.get("tokenizer.ggml.eos_token_id")
        if not isinstance(end, int):
            raise TweetgenError(
                f"{self._path} does not say which token ends a text. Name another model."
            )
        with self._readable():
            tokenizer_json = tokenizer_json_from(self._file.metadata)
            if tokenizer_json is None:
                own = self._read_by(quiet_transformers().AutoTokenizer)
                tokenizer_json = str(own.backend_tokenizer.to_str())
        return tokenizer_json, end

    def model(self, dtype: str) -> Any:
        """The model in "float32", or with "auto" in the 16 bits that the file has.

        Numbers of fewer bits then become bfloat16, whose own rounding is ten times finer.
        """
        with self._readable():
            if self._architecture in families.KEYS:
                config_json = self.config_json()
                weights = _weights(self._file, self._architecture, config_json, dtype)
            else:
                config_json, weights = self._others_weights(dtype)
        return model_from_weights(config_json, weights, dtype, str(self._path))

    def _others_weights(self, dtype: str) -> tuple[str, dict[str, Any]]:
        """Config and weights alone: the model counts itself as quantised, not to be trained."""
        kind = "bfloat16" if dtype == "auto" else dtype
        model = self._read_by(quiet_transformers().AutoModelForCausalLM, dtype=kind)
        config = json.loads(config_json_of(model))
        config.pop("quantization_config", None)
        return json.dumps(config), weights_of(model, dtype)

    def _read_by(self, kind: Any, **settings: str) -> Any:
        """What a class of transformers makes of the file."""
        own = {"gguf_file": self._path.name, "local_files_only": True}
        try:
            return kind.from_pretrained(self._path.parent, **own, **settings)
        except ImportError as error:
            raise TweetgenError(
                f"to read {self._path.name}, transformers needs more packages. "
                "Run: pip install accelerate"
            ) from error

    def _readable(self) -> AbstractContextManager[None]:
        what = f"{self._path} is not a language model that can be read"
        return told_faults(what, "Name another model.")


def _weights(file: GgufFile, architecture: str, config_json: str, dtype: str) -> dict[str, Any]:
    """The weights by transformers' names, tied ones once."""
    import torch
    from gguf import GGMLQuantizationType as Kind

    own: dict[int, torch.dtype] = {Kind.F32: torch.float32, Kind.F16: torch.float16}
    own_type = own.get(file.tensors["token_embd.weight"].kind, torch.bfloat16)
    number_type = own_type if dtype == "auto" else torch.float32
    config, empty = json.loads(config_json), empty_model(config_json)
    names = families.gguf_names(architecture, empty.state_dict(), empty.config.num_hidden_layers)
    if config["tie_word_embeddings"]:
        del names["lm_head.weight"]
    unknown = file.tensors.keys() - {*names.values(), "output.weight", families.ROPE_FACTORS}
    if unknown:
        raise ValueError(f"it has a tensor that no such model has: {min(unknown)}")
    weights = {}
    for name, stored in names.items():
        if stored in file.tensors:  # what is missing is said when the model is built
            values = families.from_gguf(architecture, stored, file.values(stored), config)
            weights[name] = torch.from_numpy(np.ascontiguousarray(values)).to(number_type)
    return weights


def _config(file: GgufFile, architecture: str) -> dict[str, Any]:
    """The transformers config of a file of a known family."""
    prefix, data = f"{architecture}.", file.metadata
    own = {k.removeprefix(prefix): _shortest(data[k]) for k in data if k.startswith(prefix)}
    num_blocks = len({name.split(".")[1] for name in file.tensors if name.startswith("blk.")})
    if own.setdefault("block_count", num_blocks) != num_blocks:
        raise ValueError(f"it states {own['block_count']} blocks and has tensors of {num_blocks}")
    if 0 in (own.get("attention.head_count"), own.get("attention.head_count_kv")):
        raise ValueError("it states 0 attention heads")
    end = data.get("tokenizer.ggml.eos_token_id")
    keys = families.KEYS[architecture]
    is_tied = "output.weight" not in file.tensors or np.array_equal(
        file.raw("token_embd.weight"), file.raw("output.weight")
    )
    config = {
        **{theirs: own[ours] for ours, theirs in keys.items() if ours in own},
        "model_type": architecture,
        "vocab_size": file.tensors["token_embd.weight"].shape[0],
        "tie_word_embeddings": is_tied,
        "bos_token_id": data.get("tokenizer.ggml.bos_token_id", end),
        "eos_token_id": end,
    }
    return config if architecture == "gpt2" else config | _attention(file, own, config)


def _attention(file: GgufFile, own: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """What the config of a Llama or Qwen has besides; `own` are the file's metadata."""
    heads = config["num_attention_heads"]
    more = {"num_key_value_heads": config.get("num_key_value_heads", heads)}
    head_size = own.get("attention.key_length") or config["hidden_size"] // heads
    if own.get("rope.dimension_count", head_size) != head_size:
        raise ValueError("it rotates a part of each head only")
    if config["model_type"] != "qwen2":  # the only one of them that fixes it
        more["head_dim"] = head_size
        more["attention_bias"] = "blk.0.attn_q.bias" in file.tensors
    if config["model_type"] == "llama":
        more["mlp_bias"] = "blk.0.ffn_down.bias" in file.tensors
    return more | {"rope_parameters": _rope(file, own, head_size)}


def _rope(file: GgufFile, own: dict[str, Any], head_size: int) -> dict[str, Any]:
    theta = own.get("rope.freq_base", 10_000.0)
    if own.get("rope.scaling.type", "none") != "none":
        raise ValueError(f"its context is stretched by {own['rope.scaling.type']!r}")
    if families.ROPE_FACTORS not in file.tensors:
        return {"rope_type": "default", "rope_theta": theta}
    factors = file.values(families.ROPE_FACTORS)
    factor = float(factors.max())
    if not np.allclose(factors, families.llama3_rope_factors(factor, theta, head_size), 1e-3):
        raise ValueError("its context is stretched in an unknown way")
    return families.LLAMA3_ROPE | {"rope_theta": theta, "factor": factor}


def _shortest(value: Any) -> Any:
    """A number that was stored in float32 as it was meant: 9.999999747e-06 -> 1e-05."""
    return float(str(np.float32(value))) if isinstance(value, float) else value
