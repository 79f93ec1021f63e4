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


def write(folder: Path, content: Mapping[str, Any], *, in_8_bits: bool = False) -> None:
    """Write the content of a model file, of a family of gguf_families, as FOLDER/model.gguf.

    Matrices are in float16 or llama.cpp's q8_0; what has one dimension is in float32. A text starts
    with its end token, as in training: llama.cpp is told to put it there.
    """
    from gguf import GGUFWriter, LlamaFileType

    config = config_from(content["config_json"])
    architecture = families.ARCHITECTURES[config.model_type]
    names = families.gguf_names(architecture, content["weights"], config.num_hidden_layers)
    tensors = {names[name]: tensor for name, tensor in content["weights"].items()}
    writer = GGUFWriter(None, architecture)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0 if in_8_bits else LlamaFileType.MOSTLY_F16)
    _add_shape(writer, config)
    if architecture != "gpt2":
        tensors |= _add_rope(writer, config)
    end = _add_tokenizer(writer, content, len(tensors["token_embd.weight"]))
    _write_file(folder / "model.gguf", writer, config.to_dict(), tensors, in_8_bits)
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
    for add in (writer.add_key_length, writer.add_value_length, writer.add_rope_dimension_count):
        add(head_size)
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
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_pad_token_id):
        add(end)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    return tokens[int(end)]


def _write_file(
    path: Path, writer: Any, config: dict[str, Any], tensors: dict[str, Any], in_8_bits: bool
) -> None:
    """Header, metadata, and one tensor after another: never a second copy of all."""
    from gguf import quants

    kinds = {}
    for name, tensor in tensors.items():
        shape = tuple(families.to_gguf(writer.arch, name, tensor, config).shape)
        kinds[name] = kind = _kind_of(name, shape, in_8_bits)
        in_bytes = quants.quant_shape_to_byte_shape(shape, kind)
        writer.add_tensor_info(name, in_bytes, np.dtype(np.uint8), math.prod(in_bytes), kind)
    with atomic_write(path) as file:
        writer.write_header_to_file(Path(file.name))
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        file.seek(0, os.SEEK_END)
        for name, tensor in tensors.items():
            writer.write_padding(file, file.tell())
            values = families.to_gguf(writer.arch, name, tensor.float(), config).numpy()
            file.write(quants.quantize(np.ascontiguousarray(values), kinds[name]).tobytes())
        writer.write_padding(file, file.tell())


def _kind_of(name: str, shape: tuple[int, ...], in_8_bits: bool) -> Any:
    """The number format of a tensor; rows that do not fill blocks of 32 stay in 16 bits."""
    from gguf import GGMLQuantizationType as Kind

    if len(shape) == 1 or name == KEPT_IN_FLOAT32:
        return Kind.F32
    return Kind.Q8_0 if in_8_bits and shape[-1] % 32 == 0 else Kind.F16
