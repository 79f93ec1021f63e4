"""A model as a folder that other programs load."""

import json
from pathlib import Path
from typing import Any

from tweetgen.files import atomic_write, write_text
from tweetgen.models import context_length


def export_folder(
    folder: str | Path,
    config_json: str,
    weights: dict[str, Any],
    tokenizer_json: str,
    eos_token_id: int,
) -> None:
    """Write a folder that `transformers.pipeline("text-generation", folder)` loads.

    Raises:
        TweetgenError: the folder cannot be written.
    """
    from safetensors.torch import save
    from tokenizers import Tokenizer

    folder = Path(folder)
    config = json.loads(config_json) | {"dtype": "float32", "eos_token_id": eos_token_id}
    end = Tokenizer.from_str(tokenizer_json).id_to_token(eos_token_id)
    with atomic_write(folder / "model.safetensors") as file:
        file.write(save({n: t.contiguous() for n, t in weights.items()}, {"format": "pt"}))
    documents = {
        "config.json": config,
        "generation_config.json": {
            "bos_token_id": eos_token_id,
            "eos_token_id": eos_token_id,
            "pad_token_id": eos_token_id,
            "do_sample": True,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": end,
            "eos_token": end,
            "clean_up_tokenization_spaces": False,
            "model_max_length": context_length(config),
        },
    }
    for name, document in documents.items():
        write_text(folder / name, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    write_text(folder / "tokenizer.json", tokenizer_json)
