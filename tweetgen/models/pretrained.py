"""Language models by folder, hub name or .gguf file, and from weights. All of transformers' files.

Only safetensors and .gguf are read, and no code that comes with a model is ever run.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tweetgen.errors import TweetgenError
from tweetgen.models import gguf
from tweetgen.models.hub import MODEL_FILES, TOKENIZER_FILES, find_folder
from tweetgen.models.quiet import first_line, quiet_transformers

# What the families of transformers call the longest text they can read.
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
UNLIMITED_CONTEXT = 1 << 20  # models without a position table, such as Mamba


class PretrainedTokenizer(NamedTuple):
    """What turns tweets into ids for one model: enough to rebuild it with nothing else."""

    tokenizer_json: str
    eos_token_id: int
    context_length: int  # tokens the model can read, EOS included


class Pretrained(NamedTuple):
    """A transformers causal language model in float32 on the CPU, and its tokenizer."""

    model: Any
    tokenizer_json: str
    eos_token_id: int


def load_pretrained(name: str) -> Pretrained:
    """The model and tokenizer in a folder or .gguf file, or of a hub name (cached or downloaded).

    Raises:
        TweetgenError: no such folder or model, no network, or a folder without safetensors.
    """
    if file := gguf.find_file(name):
        config_json, quantised, report = gguf.read_model(file)
        _check_complete(report, str(file))
        model = model_from_weights(config_json, weights_of(quantised))
        return Pretrained(model, *gguf.read_tokenizer(file)[:2])
    folder = find_folder(name, MODEL_FILES)
    tokenizer = read_tokenizer(folder)
    if not list(folder.glob("*.safetensors")):
        raise TweetgenError(
            f"{folder} needs model.safetensors (found: {_listing(folder)}). "
            "Other weight files can execute code when loaded; use a model with safetensors."
        )
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    from tweetgen.device import memory_errors  # not before: preprocess.py needs no torch

    transformers = quiet_transformers()
    try:
        with memory_errors(f"to load {folder}. Free some, or name a smaller model"):
            model, report = transformers.AutoModelForCausalLM.from_pretrained(
                folder,
                dtype="float32",
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
    _check_complete(report, str(folder))
    return Pretrained(model, tokenizer.tokenizer_json, tokenizer.eos_token_id)


def load_tokenizer(name: str) -> PretrainedTokenizer:
    """The tokenizer of a model, without loading (or downloading) its weights.

    Raises:
        TweetgenError: as load_pretrained.
    """
    if file := gguf.find_file(name):
        tokenizer_json, eos_token_id, config = gguf.read_tokenizer(file)
        return PretrainedTokenizer(tokenizer_json, eos_token_id, context_length(config))
    return read_tokenizer(find_folder(name, TOKENIZER_FILES))


def read_tokenizer(folder: Path) -> PretrainedTokenizer:
    """The tokenizer in a model's folder.

    Raises:
        TweetgenError: the folder has none, or does not say which token ends a text.
    """
    config = read_config(folder)
    path = folder / "tokenizer.json"
    tokenizer_json = _read_text(path) if path.is_file() else _converted_tokenizer(folder)
    eos_token_id = _eos_token_id(folder, config, tokenizer_json)
    return PretrainedTokenizer(tokenizer_json, eos_token_id, context_length(config))


def read_config(folder: Path) -> dict[str, Any]:
    """The config in a model's folder. Raises TweetgenError if it is damaged."""
    return _read_json(folder / "config.json")


def context_length(config: dict[str, Any]) -> int:
    """How many tokens a model with this config can read."""
    text_config = config.get("text_config") or config
    return next(
        (text_config[key] for key in CONTEXT_KEYS if isinstance(text_config.get(key), int)),
        UNLIMITED_CONTEXT,
    )


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


def model_from_weights(config_json: str, weights: dict[str, Any]) -> Any:
    """The transformers model with these weights (shared, not copied), as `weights_of` gave them.

    Raises:
        TweetgenError: the weights do not fit the config.
    """
    import torch

    transformers = quiet_transformers()
    config = _config(config_json)
    with torch.device("meta"):
        kind = type(transformers.AutoModelForCausalLM.from_config(config))
    model, report = kind.from_pretrained(
        None, config=config, state_dict=dict(weights), dtype="float32", output_loading_info=True
    )
    _check_complete(report, "the model file")
    return model


def model_from_scratch(config_json: str, vocabulary_size: int, eos_token_id: int, seed: int) -> Any:
    """A model with random weights, of the config's shape but the given vocabulary.

    Raises:
        TweetgenError: no model can have this config.
    """
    import torch

    transformers = quiet_transformers()
    config = _config(config_json)
    config.vocab_size = vocabulary_size
    config.bos_token_id = config.eos_token_id = config.pad_token_id = eos_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with _checked_config(config.model_type):
            return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def weights_of(model: Any) -> dict[str, Any]:
    """The model's state_dict on the CPU in float32, each tied tensor once; memory may be shared."""
    import torch

    weights, seen = {}, set()
    for name, tensor in model.state_dict().items():
        place = (tensor.device, tensor.untyped_storage().data_ptr(), tensor.storage_offset())
        if place in seen:
            continue
        seen.add(place)
        weights[name] = tensor.detach().to("cpu", torch.float32)
    return weights


def config_json_of(model: Any) -> str:
    """The model's config as JSON, enough to build it again."""
    return str(model.config.to_json_string(use_diff=True))


def _config(config_json: str) -> Any:
    transformers = quiet_transformers()
    content = json.loads(config_json)
    kind = content.pop("model_type", None)
    if kind not in transformers.CONFIG_MAPPING:
        raise TweetgenError(f"this transformers knows no model type {kind!r}. Update it.")
    with _checked_config(kind):
        return transformers.AutoConfig.for_model(kind, **content)


@contextmanager
def _checked_config(kind: str) -> Iterator[None]:
    from huggingface_hub.errors import StrictDataclassError

    try:
        yield
    except (KeyError, TypeError, ValueError, StrictDataclassError) as error:
        raise TweetgenError(
            f"no {kind} model can have this config: {first_line(error)} Correct it."
        ) from error


def _check_complete(report: dict[str, Any], where: str) -> None:
    wrong = sorted(str(name) for key in ("missing_keys", "mismatched_keys") for name in report[key])
    if wrong:
        raise TweetgenError(
            f"{where} has no weights of the right shape for {wrong[0]} and {len(wrong) - 1} more. "
            "Fetch the model again."
        )


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
