"""A model file of ours as what other programs load: a folder, adapters alone, or one GGUF file."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tweetgen.errors import TweetgenError
from tweetgen.files import atomic_write, write_text
from tweetgen.models import gguf_families, gguf_tokenizer, gguf_writing
from tweetgen.models.building import config_json_of, context_length, weights_of
from tweetgen.models.hub import GGUF_SUFFIX, SMOLLM2
from tweetgen.models.loading import OWN_SUFFIX, load_pretrained

ADAPTER_SCALE = 2.0  # lora_alpha / rank of our adapters


def check_exportable(
    kind: str, config_json: str, has_adapters: bool, tokenizer_json: str = ""
) -> None:
    """Raise TweetgenError, before a training, if its model could not be exported.

    That is "peft" without adapters, or "gguf" of a family or tokenizer that is not written here.
    """
    if kind == "peft" and not has_adapters:
        raise TweetgenError(
            "--export_format peft writes adapters, and this training changes all weights. "
            "Choose another, or add --lora_rank 16."
        )
    if not kind.startswith("gguf"):
        return
    model_type = json.loads(config_json).get("model_type")
    if model_type not in gguf_families.ARCHITECTURES:
        raise TweetgenError(
            f"a model of type {model_type} cannot be written as GGUF, only "
            f"{', '.join(sorted(gguf_families.ARCHITECTURES))}. Choose another --export_format."
        )
    if tokenizer_json:
        gguf_tokenizer.rule_of(tokenizer_json)


def export(kind: str, folder: str | Path, content: Mapping[str, Any]) -> None:
    """Write the content of a model file into a folder, as one of the KINDS.

    transformers: for `transformers.pipeline("text-generation", folder)`, in the weights' own
    number format. peft: for `PeftModel.from_pretrained(base, folder)`; a base that transformers
    could not load by its name is written beside it, into `base`. gguf: for llama.cpp, with a
    Modelfile for Ollama, in 16 bits; gguf-q8_0: the same in 8, half as large and a little coarser.
    """
    folder = Path(folder)
    check_exportable(
        kind, content["config_json"], bool(content["adapters"]), content["tokenizer_json"]
    )
    KINDS[kind](folder, content)


def _write_model(folder: Path, content: Mapping[str, Any]) -> None:
    weights, end = content["weights"], content["eos_token_id"]
    number_type = str(next(iter(weights.values())).dtype).removeprefix("torch.")
    config = json.loads(content["config_json"]) | {"dtype": number_type, "eos_token_id": end}
    generation = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), end)
    _write_tensors(folder / "model.safetensors", weights)
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", {**generation, "do_sample": True})
    _write_tokenizer(folder, content)


def _write_adapters(folder: Path, content: Mapping[str, Any]) -> None:
    base = content["training"]["base_model"]
    if base == SMOLLM2 or base.endswith((GGUF_SUFFIX, OWN_SUFFIX)):
        base = _write_base(folder / "base", base)
    adapters = content["adapters"]
    downs = [name for name in adapters if name.endswith(".lora_down")]
    rank = len(adapters[downs[0]])
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
        "target_modules": sorted({name.split(".")[-2] for name in downs}),
        "inference_mode": True,
    }
    tensors = {
        f"base_model.model.{name.replace('lora_down', 'lora_A').replace('lora_up', 'lora_B')}"
        ".weight": tensor
        for name, tensor in adapters.items()
    }
    _write_tensors(folder / "adapter_model.safetensors", tensors)
    _write_json(folder / "adapter_config.json", config)
    _write_tokenizer(folder, content)


def _write_base(folder: Path, name: str) -> str:
    """Write the model that was trained as a folder, in 16 bits; where it lies."""
    loaded = load_pretrained(name, "auto")
    config_json, weights = config_json_of(loaded.model), weights_of(loaded.model, "auto")
    _write_model(folder, loaded._asdict() | {"config_json": config_json, "weights": weights})
    return str(folder)


def _write_tokenizer(folder: Path, content: Mapping[str, Any]) -> None:
    """The tokenizer, which puts the end token before a text, as training did and llama.cpp will."""
    from tokenizers import Tokenizer, processors

    tokenizer, number = Tokenizer.from_str(content["tokenizer_json"]), content["eos_token_id"]
    end = tokenizer.id_to_token(number)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[end, "$A"], special_tokens=[(end, number)]
    )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": end,
        "eos_token": end,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context_length(json.loads(content["config_json"])),
    }
    _write_json(folder / "tokenizer_config.json", config)
    write_text(folder / "tokenizer.json", tokenizer.to_str())


def _write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    from safetensors.torch import save

    with atomic_write(path) as file:
        file.write(save({n: t.contiguous() for n, t in tensors.items()}, {"format": "pt"}))


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


KINDS: dict[str, Callable[..., None]] = {
    "transformers": _write_model,
    "peft": _write_adapters,
    "gguf": gguf_writing.write,
    "gguf-q8_0": partial(gguf_writing.write, in_8_bits=True),
}
