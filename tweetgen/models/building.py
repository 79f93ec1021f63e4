"""transformers models from configs and weights, and the reverse."""

import json
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tweetgen.errors import TweetgenError, first_line

# What the families of transformers call the longest text they can read.
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
UNLIMITED_CONTEXT = 1 << 20  # models without a position table, such as Mamba


def quiet_transformers() -> Any:
    """The transformers package, without its progress bars and load reports."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    with warnings.catch_warnings(action="ignore"):
        import transformers
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    return transformers


def context_length(config: dict[str, Any]) -> int:
    """How many tokens a model with this config can read."""
    text_config = config.get("text_config") or config
    lengths = (text_config.get(key) for key in CONTEXT_KEYS)
    return next((length for length in lengths if isinstance(length, int)), UNLIMITED_CONTEXT)


def empty_model(config_json: str) -> Any:
    """The model of a config, without memory for weights. Raises TweetgenError as config_from."""
    import torch

    config = config_from(config_json)
    with torch.device("meta"), _checked_config(config.model_type):
        return quiet_transformers().AutoModelForCausalLM.from_config(config)


def model_from_weights(
    config_json: str, weights: dict[str, Any], dtype: str = "float32", where: str = "the model file"
) -> Any:
    """The transformers model with these weights, as `weights_of` gave them; memory may be shared.

    `dtype` "auto" is the number format that they have. Raises TweetgenError, which names `where`,
    if they do not fit the config.
    """
    own = max((tensor.dtype for tensor in weights.values()), key=lambda kind: kind.itemsize)
    model, report = type(empty_model(config_json)).from_pretrained(
        None,
        config=config_from(config_json),
        state_dict=dict(weights),
        dtype=own if dtype == "auto" else dtype,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are in the report, for one line of our own
    )
    check_complete(report, where)
    return model


def model_from_scratch(config_json: str, vocabulary_size: int, eos_token_id: int, seed: int) -> Any:
    """A model with random weights, of the config's shape but the given vocabulary."""
    import torch

    config = config_from(config_json)
    config.vocab_size = vocabulary_size
    config.bos_token_id = config.eos_token_id = config.pad_token_id = eos_token_id
    with torch.random.fork_rng(devices=[]), _checked_config(config.model_type):
        torch.manual_seed(seed)
        kind = quiet_transformers().AutoModelForCausalLM
        return kind.from_config(config, dtype=torch.float32)


def weights_of(model: Any, dtype: str = "float32") -> dict[str, Any]:
    """The model's state_dict on the CPU, each tied tensor once; memory may be shared.

    In float32, or with `dtype` "auto" in the number formats that the model has.
    """
    weights, seen = {}, set()
    for name, tensor in model.state_dict().items():
        place = (tensor.device, tensor.untyped_storage().data_ptr(), tensor.storage_offset())
        if place not in seen:
            seen.add(place)
            kept = tensor.detach().cpu()
            weights[name] = kept if dtype == "auto" else kept.float()
    return weights


def config_json_of(model: Any) -> str:
    """The model's config as JSON, enough to build it again."""
    return str(model.config.to_json_string(use_diff=True))


def config_from(config_json: str) -> Any:
    """The transformers config that a JSON describes, defaults filled in.

    Raises TweetgenError: transformers knows no such model, or no model can have this config.
    """
    transformers = quiet_transformers()
    content = json.loads(config_json)
    kind = content.pop("model_type", None)
    if kind not in transformers.CONFIG_MAPPING:
        raise TweetgenError(f"this transformers knows no model type {kind!r}. Update it.")
    with _checked_config(kind):
        return transformers.AutoConfig.for_model(kind, **content)


def check_complete(report: dict[str, Any], where: str) -> None:
    """Raise TweetgenError where transformers reports weights as missing or of another shape."""
    wrong = sorted(str(name) for key in ("missing_keys", "mismatched_keys") for name in report[key])
    if wrong:
        raise TweetgenError(
            f"{where} has no weights of the right shape for {wrong[0]} and {len(wrong) - 1} more. "
            "Fetch the model again."
        )


@contextmanager
def told_faults(what: str, advice: str) -> Iterator[None]:
    """What libraries raise on a damaged or unknown model, as a TweetgenError: what, why, advice."""
    try:
        yield
    except _faults() as error:
        raise TweetgenError(f"{what}: {first_line(error)} {advice}") from error


def _faults() -> tuple[type[Exception], ...]:
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    usual = (ValueError, OSError, LookupError, TypeError, AttributeError, RuntimeError)
    damage = (ArithmeticError, MemoryError, struct.error, SafetensorError)
    return (*usual, *damage, StrictDataclassError)


def _checked_config(kind: str) -> AbstractContextManager[None]:
    return told_faults(f"no {kind} model can have this config", "Correct it.")
