"""A model file of ours as what other programs load: a folder, adapters alone, or one GGUF file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tweetgen.errors import TweetgenError
from tweetgen.files import atomic_write, write_text
from tweetgen.models import gguf_families, gguf_tokenizer, gguf_writing
from tweetgen.models.building import config_json_of, context_length, weights_of
from tweetgen.models.gguf_loading import SMOLLM2, SUFFIX
from tweetgen.models.loading import OWN_SUFFIX, load_pretrained

KINDS = ("transformers", "peft", "gguf")
ADAPTER_SCALE = 2.0  # lora_alpha / rank of our adapters
FILES = {"transformers": "config.json", "peft": "adapter_config.json", "gguf": "model.gguf"}


def check_exportable(
    kind: str, config_json: str, has_adapters: bool, tokenizer_json: str = ""
) -> None:
    """Raise, before a training, if its model could not be exported.

    Raises:
        TweetgenError: "peft" without adapters; "gguf" of a family, or with a tokenizer where that
            is given, that is not written here.
    """
    if kind == "peft" and not has_adapters:
        raise TweetgenError(
            "--export_format peft writes adapters, and this training changes all weights. "
            "Choose another, or add --lora_rank 16."
        )
    if kind != "gguf":
        return
    model_type = json.loads(config_json).get("model_type")
    if model_type not in gguf_families.ARCHITECTURES:
        raise TweetgenError(
            f"a model of type {model_type} cannot be written as GGUF, only "
            f"{', '.join(sorted(gguf_families.ARCHITECTURES))}. Choose another --export_format."
        )
    if tokenizer_json:
        gguf_tokenizer.rule_of(tokenizer_json)


def export(
    kind: str, folder: str | Path, content: Mapping[str, Any], *, number_format: str = "f16"
) -> None:
    """Write the content of a model file into a folder, in one of KINDS.

    transformers: for `transformers.pipeline("text-generation", folder)`, in the weights' own
    number format. peft: for `PeftModel.from_pretrained(base, folder)`; a base that transformers
    could not load by its name is written beside it, into `base`. gguf: for llama.cpp, with a
    Modelfile for Ollama, in `number_format` "f16" or "q8_0".

    Raises:
        TweetgenError: the model cannot be written like this, or the folder cannot be written.
    """
    folder = Path(folder)
    check_exportable(
        kind, content["config_json"], bool(content["adapters"]), content["tokenizer_json"]
    )
    if kind == "gguf":
        gguf_writing.write(folder, content, number_format)
    elif kind == "peft":
        _write_adapters(folder, content)
    else:
        names = ("config_json", "weights", "tokenizer_json", "eos_token_id")
        _write_model(folder, *(content[name] for name in names))


def _write_model(
    folder: Path,
    config_json: str,
    weights: dict[str, Any],
    tokenizer_json: str,
    eos_token_id: int,
) -> None:
    number_type = str(next(iter(weights.values())).dtype).removeprefix("torch.")
    config = json.loads(config_json) | {"dtype": number_type, "eos_token_id": eos_token_id}
    _write_tensors(folder / "model.safetensors", weights)
    generation = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), eos_token_id)
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", {**generation, "do_sample": True})
    _write_tokenizer(folder, tokenizer_json, eos_token_id, context_length(config))


def _write_adapters(folder: Path, content: Mapping[str, Any]) -> None:
    adapters = content["adapters"]
    base = content["training"]["base_model"]
    if base == SMOLLM2 or base.endswith((SUFFIX, OWN_SUFFIX)):
        base = _write_base(folder / "base", base)
    downs = {n: t for n, t in adapters.items() if n.endswith(".lora_down")}
    tensors = {
        f"base_model.model.{name.replace('lora_down', 'lora_A').replace('lora_up', 'lora_B')}"
        ".weight": tensor
        for name, tensor in adapters.items()
    }
    rank = len(next(iter(downs.values())))
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": ADAPTER_SCALE * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        # GPT-2 keeps its matrices the other way round.
        "fan_in_fan_out": json.loads(content["config_json"])["model_type"] == "gpt2",
        "target_modules": _target_modules(
            {name.removesuffix(".lora_down") for name in downs}, content["weights"]
        ),
        "inference_mode": True,
    }
    _write_tensors(folder / "adapter_model.safetensors", tensors)
    _write_json(folder / "adapter_config.json", config)
    length = context_length(json.loads(content["config_json"]))
    _write_tokenizer(folder, content["tokenizer_json"], content["eos_token_id"], length)


def _write_base(folder: Path, name: str) -> str:
    """Write the model that was trained as a folder, in 16 bits; where it lies."""
    model, tokenizer_json, eos_token_id = load_pretrained(name, "auto")
    weights = weights_of(model, "auto")
    _write_model(folder, config_json_of(model), weights, tokenizer_json, eos_token_id)
    return str(folder)


def _target_modules(adapted: set[str], weights: Mapping[str, Any]) -> list[str]:
    """What peft adapts: last names of modules, or whole ones where not all of a name have adapters.

    >>> _target_modules({"h.0.fc"}, {"h.0.fc.weight": 0, "h.1.fc.weight": 0})
    ['h.0.fc']
    """
    modules = {name.removesuffix(".weight") for name in weights if name.endswith(".weight")}
    last_names = {name.rpartition(".")[2] for name in adapted}
    named = {module for module in modules if module.rpartition(".")[2] in last_names}
    return sorted(last_names if named == adapted else adapted)


def _write_tokenizer(folder: Path, tokenizer_json: str, eos_token_id: int, length: int) -> None:
    from tokenizers import Tokenizer

    end = Tokenizer.from_str(tokenizer_json).id_to_token(eos_token_id)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": end,
        "eos_token": end,
        "clean_up_tokenization_spaces": False,
        "model_max_length": length,
    }
    _write_json(folder / "tokenizer_config.json", config)
    write_text(folder / "tokenizer.json", tokenizer_json)


def _write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    from safetensors.torch import save

    with atomic_write(path) as file:
        file.write(save({n: t.contiguous() for n, t in tensors.items()}, {"format": "pt"}))


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
