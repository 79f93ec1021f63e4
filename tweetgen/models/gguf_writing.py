"""A model as one GGUF file for llama.cpp, and a Modelfile that tells Ollama how to draw from it."""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tweetgen.files import atomic_write, write_text
from tweetgen.models import gguf_families as families
from tweetgen.models.building import config_from
from tweetgen.models.gguf_tokenizer import rule_of, tokens_of
from tweetgen.settings import SamplingSettings

# Ollama's own defaults would cut, penalise and chat; this draws as generate.py does.
MODELFILE = """\
FROM ./model.gguf
TEMPLATE "{{{{ .Prompt }}}}"
PARAMETER stop {end}
PARAMETER temperature {temperature:g}
PARAMETER top_p {top_p:g}
PARAMETER top_k {top_k}
PARAMETER min_p {min_p:g}
PARAMETER repeat_penalty {repetition_penalty:g}
"""
KEPT_IN_FLOAT32 = "position_embd.weight"  # llama.cpp adds it to float32


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the content of a model file, of a family of gguf_families, as FOLDER/model.gguf.

    Matrices are in float16; what has one dimension is in float32. A text starts with its end
    token, as in training: llama.cpp is told to put it there.

    Raises:
        TweetgenError: the tokenizer cannot be written, or the folder.
    """
    from gguf import GGUFWriter, LlamaFileType

    config = config_from(content["config_json"])
    architecture = families.ARCHITECTURES[config.model_type]
    names = families.gguf_names(architecture, content["weights"], config.num_hidden_layers)
    tensors = {names[name]: tensor for name, tensor in content["weights"].items()}
    writer = GGUFWriter(None, architecture)
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    _add_shape(writer, config)
    if architecture != "gpt2":
        tensors |= _add_rope(writer, config)
    end = _add_tokenizer(writer, content, len(tensors["token_embd.weight"]))
    _write_file(folder / "model.gguf", writer, config, tensors)
    size = sum(tensor.numel() for tensor in content["weights"].values())
    settings = dataclasses.asdict(SamplingSettings().for_model(size))
    end = json.dumps(end, ensure_ascii=False)
    write_text(folder / "Modelfile", MODELFILE.format(end=end, **settings))


def _add_shape(writer: Any, config: Any) -> None:
    for key, name in families.KEYS[writer.arch].items():
        value = getattr(config, name)
        if name == "n_inner":
            value = value or 4 * config.n_embd
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        add(f"{writer.arch}.{key}", value)


def _add_rope(writer: Any, config: Any) -> dict[str, Any]:
    """Say how positions are told; the tensor by which Llama 3.1 stretches its context, if any."""
    import torch

    own = getattr(config, "head_dim", None)
    head_size = int(own or config.hidden_size // config.num_attention_heads)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope.get("rope_type") != "llama3":
        return {}
    factors = families.llama3_rope_factors(rope["factor"], rope["rope_theta"], head_size)
    return {families.ROPE_FACTORS: torch.from_numpy(factors)}


def _add_tokenizer(writer: Any, content: Mapping[str, Any], num_rows: int) -> str:
    """Write the tokenizer; the token that ends a text."""
    tokenizer_json, end = content["tokenizer_json"], content["eos_token_id"]
    tokens, kinds, merges = tokens_of(tokenizer_json, num_rows)
    writer.add_vocab_size(num_rows)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(rule_of(tokenizer_json))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_pad_token_id(end)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    return tokens[int(end)]


def _write_file(path: Path, writer: Any, config: Any, tensors: Mapping[str, Any]) -> None:
    """Header, metadata, and one tensor after another: never a second copy of all."""
    content = config.to_dict()
    kinds = {}
    for name, tensor in tensors.items():
        shape = families.to_gguf(writer.arch, name, tensor, content).shape
        is_small = len(shape) == 1 or name == KEPT_IN_FLOAT32
        kinds[name] = kind = np.dtype(np.float32 if is_small else np.float16)
        writer.add_tensor_info(name, tuple(shape), kind, math.prod(shape) * kind.itemsize)
    with atomic_write(path) as file:
        writer.write_header_to_file(Path(file.name))
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        file.seek(0, os.SEEK_END)
        for name, tensor in tensors.items():
            writer.write_padding(file, file.tell())
            values = families.to_gguf(writer.arch, name, tensor.float(), content).numpy()
            file.write(values.astype(kinds[name]).tobytes())
        writer.write_padding(file, file.tell())
