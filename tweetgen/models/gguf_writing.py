"""A model as one GGUF file for llama.cpp, and a Modelfile that tells Ollama how to draw from it."""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from tweetgen.files import atomic_write, write_text
from tweetgen.models import gguf_families as families
from tweetgen.models import gguf_tokenizer
from tweetgen.models.building import config_from
from tweetgen.settings import SamplingSettings

MODEL_NAME, MODELFILE_NAME = "model.gguf", "Modelfile"
# Ollama's own defaults would cut, penalise and chat; this draws as generate.py does.
MODELFILE = """\
FROM ./{model}
TEMPLATE "{{{{ .Prompt }}}}"
PARAMETER stop {end}
PARAMETER temperature {temperature:g}
PARAMETER top_p {top_p:g}
PARAMETER top_k {top_k}
PARAMETER min_p {min_p:g}
PARAMETER repeat_penalty {repetition_penalty:g}
"""
FORMATS = {"f16": 1, "q8_0": 7}  # as llama.cpp counts file types
KEPT_IN_FLOAT32 = "position_embd.weight"  # llama.cpp adds it to float32


def write(folder: Path, content: Mapping[str, Any], number_format: str) -> None:
    """Write the content of a model file, of a family of gguf_families, as FOLDER/model.gguf.

    Matrices are in `number_format`, "f16" or "q8_0"; what has one dimension is in float32. A text
    starts with its end token, as in training: llama.cpp is told to put it there.

    Raises:
        TweetgenError: the tokenizer cannot be written, or the folder.
    """
    from gguf import GGUFWriter

    config = config_from(content["config_json"])
    architecture = families.ARCHITECTURES[config.model_type]
    family = families.FAMILIES[architecture]
    tensors = {families.gguf_name(family, name): t for name, t in content["weights"].items()}
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "llama3":
        factors = families.llama3_rope_factors(
            rope["factor"], rope["rope_theta"], _head_size(config)
        )
        import torch

        tensors[families.ROPE_FACTORS] = torch.from_numpy(factors)
    writer = GGUFWriter(None, architecture)
    writer.add_file_type(FORMATS[number_format])
    _add_shape(writer, family, config)
    tokens = _add_tokenizer(writer, content, len(tensors["token_embd.weight"]))
    with atomic_write(folder / MODEL_NAME) as file:
        _write_all(writer, file, family, config.to_dict(), tensors, number_format)
    size = sum(tensor.numel() for tensor in content["weights"].values())
    settings = dataclasses.asdict(SamplingSettings().for_model(size))
    end = json.dumps(tokens[content["eos_token_id"]], ensure_ascii=False)
    write_text(folder / MODELFILE_NAME, MODELFILE.format(model=MODEL_NAME, end=end, **settings))


def _add_shape(writer: Any, family: families.Family, config: Any) -> None:
    arch = writer.arch
    for key, name in family.keys.items():
        value = getattr(config, name)
        if name == "n_inner":
            value = value or 4 * config.n_embd
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        add(f"{arch}.{key}", value)
    if family is families.GPT2:
        return
    head_size = _head_size(config)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])


def _add_tokenizer(writer: Any, content: Mapping[str, Any], num_rows: int) -> list[str]:
    tokenizer_json, end = content["tokenizer_json"], content["eos_token_id"]
    tokens, kinds, merges = gguf_tokenizer.tokens_of(tokenizer_json, num_rows)
    writer.add_vocab_size(num_rows)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(gguf_tokenizer.rule_of(tokenizer_json))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_pad_token_id(end)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    return tokens


def _write_all(
    writer: Any,
    file: IO[bytes],
    family: families.Family,
    config: Mapping[str, Any],
    tensors: Mapping[str, Any],
    number_format: str,
) -> None:
    """Header, metadata, and one tensor after another: never a second copy of all."""
    from gguf import quants
    from gguf.gguf_writer import WriterState
    from gguf.quants import quant_shape_to_byte_shape

    kinds = {}
    for name, tensor in tensors.items():
        shape = tuple(tensor.shape)
        if families.is_transposed(family, name, len(shape)):
            shape = shape[::-1]
        kinds[name] = kind = _kind(name, shape, number_format)
        in_bytes = quant_shape_to_byte_shape(shape, kind)
        writer.add_tensor_info(name, in_bytes, np.dtype(np.uint8), math.prod(in_bytes), kind)
    writer.fout, writer.state = [file], WriterState.EMPTY  # it would open one by name
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.write_padding(file, file.tell())
    for name, tensor in tensors.items():
        values = families.to_gguf(family, name, tensor.float().numpy(), config)
        data = quants.quantize(np.ascontiguousarray(values), kinds[name])
        file.write(data.tobytes())
        writer.write_padding(file, data.nbytes)


def _kind(name: str, shape: tuple[int, ...], number_format: str) -> Any:
    """The number format of a tensor; rows that do not fill blocks of 32 stay in 16 bits."""
    from gguf import GGMLQuantizationType as Kind

    if len(shape) == 1 or name == KEPT_IN_FLOAT32:
        return Kind.F32
    return Kind.Q8_0 if number_format == "q8_0" and shape[-1] % 32 == 0 else Kind.F16


def _head_size(config: Any) -> int:
    own = getattr(config, "head_dim", None)
    return int(own or config.hidden_size // config.num_attention_heads)
