"""Language models and their tokenizers by name: a folder, a hub name, a .gguf file, a .pt of ours.

Only safetensors, GGUF and our own files are read, and no code that comes with a model is ever run.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from tweetgen.errors import TweetgenError, first_line
from tweetgen.models import gguf_loading
from tweetgen.models.building import (
    check_complete,
    context_length,
    model_from_weights,
    quiet_transformers,
)
from tweetgen.models.hub import MODEL_FILES, TOKENIZER_FILES, find_folder

OWN_SUFFIX = ".pt"


class PretrainedTokenizer(NamedTuple):
    """What turns tweets into ids for one model: enough to rebuild it with nothing else."""

    tokenizer_json: str
    eos_token_id: int
    context_length: int  # tokens the model can read, EOS included


class Pretrained(NamedTuple):
    """A transformers causal language model on the CPU, and its tokenizer."""

    model: Any
    tokenizer_json: str
    eos_token_id: int


def load_pretrained(name: str, dtype: str = "float32") -> Pretrained:
    """The model and tokenizer that a name stands for; a hub name's are fetched if need be.

    The weights are in float32 or, with `dtype` "auto", in the number format they are stored in.

    Raises:
        TweetgenError: no such folder, file or model, no network, or a folder without safetensors.
    """
    if name.endswith(OWN_SUFFIX):
        own = _own_file(name)
        model = model_from_weights(own["config_json"], own["weights"], dtype, name)
        return Pretrained(model, own["tokenizer_json"], own["eos_token_id"])
    if file := gguf_loading.find_file(name):
        config_json, weights = gguf_loading.read_weights(file, dtype)
        content = gguf_loading.read_content(file)
        model = model_from_weights(config_json, weights, dtype, str(file))
        return Pretrained(model, content.tokenizer_json, content.eos_token_id)
    folder = find_folder(name, MODEL_FILES)
    tokenizer = _folder_tokenizer(folder)
    return Pretrained(_folder_model(folder, dtype), *tokenizer[:2])


def load_tokenizer(name: str) -> PretrainedTokenizer:
    """The tokenizer of a model, without loading (or downloading) its weights.

    Raises:
        TweetgenError: as load_pretrained.
    """
    if name.endswith(OWN_SUFFIX):
        own = _own_file(name)
        length = context_length(json.loads(own["config_json"]))
        return PretrainedTokenizer(own["tokenizer_json"], own["eos_token_id"], length)
    if file := gguf_loading.find_file(name):
        tokenizer_json, eos_token_id, config = gguf_loading.read_content(file)
        return PretrainedTokenizer(tokenizer_json, eos_token_id, context_length(config))
    return _folder_tokenizer(find_folder(name, TOKENIZER_FILES))


def load_config(name: str) -> str:
    """The config of a model as JSON. Raises TweetgenError as load_pretrained."""
    if name.endswith(OWN_SUFFIX):
        return str(_own_file(name)["config_json"])
    if file := gguf_loading.find_file(name):
        return json.dumps(gguf_loading.read_content(file).config)
    return json.dumps(_read_json(find_folder(name, TOKENIZER_FILES) / "config.json"))


def _own_file(name: str) -> dict[str, Any]:
    from tweetgen import storage  # not before: preprocess.py needs no torch for other models

    return storage.load_model(name)


def _folder_model(folder: Path, dtype: str) -> Any:
    if not list(folder.glob("*.safetensors")):
        raise TweetgenError(
            f"{folder} needs model.safetensors (found: {_listing(folder)}). "
            "Other weight files can execute code when loaded; use a model with safetensors."
        )
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    from tweetgen.device import memory_errors

    transformers = quiet_transformers()
    try:
        with memory_errors(f"to load {folder}. Free some, or name a smaller model"):
            model, report = transformers.AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (
        *(KeyError, TypeError, ValueError, OSError, RuntimeError),
        *(SafetensorError, StrictDataclassError),
    ) as error:
        raise TweetgenError(
            f"{folder} is not a causal language model that transformers can load: "
            f"{first_line(error)} Name another model."
        ) from error
    check_complete(report, str(folder))
    return model


def _folder_tokenizer(folder: Path) -> PretrainedTokenizer:
    config = _read_json(folder / "config.json")
    path = folder / "tokenizer.json"
    tokenizer_json = _read_text(path) if path.is_file() else _converted_tokenizer(folder)
    eos_token_id = _eos_token_id(folder, config, tokenizer_json)
    return PretrainedTokenizer(tokenizer_json, eos_token_id, context_length(config))


def _eos_token_id(folder: Path, config: dict[str, Any], tokenizer_json: str) -> int:
    from tokenizers import Tokenizer

    settings_path = folder / "tokenizer_config.json"
    settings = _read_json(settings_path) if settings_path.is_file() else {}
    token = settings.get("eos_token")
    token = token.get("content") if isinstance(token, dict) else token
    try:
        tokenizer = Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # the Rust side raises plain Exception
        raise TweetgenError(f"{folder} has a damaged tokenizer.json. Fetch it again.") from error
    number = tokenizer.token_to_id(token) if token else None
    if number is None:
        number = config.get("eos_token_id")
        number = number[0] if isinstance(number, list) and number else number
    if not isinstance(number, int):
        raise TweetgenError(
            f"{folder} does not say which token ends a text. "
            "Add eos_token to its tokenizer_config.json."
        )
    return number


def _converted_tokenizer(folder: Path) -> str:
    """The tokenizer.json that transformers makes of older files (vocab.json, *.model)."""
    transformers = quiet_transformers()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        return str(tokenizer.backend_tokenizer.to_str())
    except (ValueError, OSError, KeyError, AttributeError, ImportError) as error:
        raise TweetgenError(
            f"{folder} has no tokenizer.json (found: {_listing(folder)}). Use a model that has one."
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read_text(path))
    except ValueError as error:
        raise _damaged(path) from error
    return content if isinstance(content, dict) else {}


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> TweetgenError:
    return TweetgenError(f"{path} is missing or damaged. Fetch the model again.")


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
