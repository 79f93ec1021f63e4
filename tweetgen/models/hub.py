"""Where a model's files lie on this machine: a folder, or the cache of the hub."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tweetgen.errors import TweetgenError

PROJECT = Path(__file__).resolve().parent.parent.parent
BUNDLED = "models/base"  # found from any working directory
TOKENIZER_FILES = ("config.json", "tokenizer*", "vocab*", "merges.txt", "*.model")
MODEL_FILES = (*TOKENIZER_FILES, "model*.safetensors", "model.safetensors.index.json")


def find_folder(name: str, files: Sequence[str]) -> Path:
    """The folder on this machine that holds a model; a hub name's files are fetched if missing.

    Raises:
        TweetgenError: no such folder, or no such model in the cache and on the hub.
    """
    folder = Path(name).expanduser()
    if name == BUNDLED and not os.path.isdir(folder):
        folder = PROJECT / BUNDLED
    if os.path.isdir(folder):  # Path.is_dir would raise where it may not look
        if os.path.isfile(folder / "config.json"):
            return folder
        raise TweetgenError(f"{folder} has no config.json. Name a folder that holds a model.")
    if os.path.exists(folder):
        raise TweetgenError(f"{folder} is a file. Name a folder that holds a model.")
    is_path = folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1
    if is_path or name.endswith("/") or ("/" in name and os.path.isdir(folder.parent)):
        raise TweetgenError(f"no such folder: {name}. Name a folder that holds a model.")
    return cached_folder(name, files) or _fetch(name, files)


def cached_folder(name: str, files: Sequence[str]) -> Path | None:
    """The folder of the hub's cache that holds these files of a model, None if some are missing.

    Raises:
        TweetgenError: no model can have this name.
    """
    from huggingface_hub import errors, snapshot_download

    try:
        folder = Path(snapshot_download(name, local_files_only=True, **_wanted(files)))
    except errors.LocalEntryNotFoundError:
        return None
    except errors.HFValidationError as error:
        raise TweetgenError(
            f"'{name}' is neither a folder nor the name of a model. Check --model."
        ) from error
    return folder if _is_whole(folder, needs_weights=files == MODEL_FILES) else None


def _fetch(name: str, files: Sequence[str]) -> Path:
    from huggingface_hub import constants, errors, snapshot_download

    try:
        if constants.HF_HUB_OFFLINE:  # it would give what an interrupted download left
            raise OSError("offline")
        return Path(snapshot_download(name, **_wanted(files)))
    except errors.GatedRepoError as error:
        raise TweetgenError(
            f"model '{name}' must be unlocked on its page first. Do so, or name another."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise TweetgenError(f"the hub has no model '{name}'. Check --model.") from error
    except (connection_error(), OSError) as error:
        raise TweetgenError(
            f"model '{name}' is not on this machine, and there is no such folder; "
            "connect once or pass --model models/base or a folder."
        ) from error


def _wanted(files: Sequence[str]) -> dict[str, Any]:
    return {"allow_patterns": list(files), "ignore_patterns": ["*/*"]}


def _is_whole(folder: Path, needs_weights: bool) -> bool:
    """Whether a folder of the cache holds all that is needed; a download may have been stopped."""
    tokenizers = ("tokenizer.json", "vocab.*", "*.model")
    if not (folder / "config.json").is_file() or not any(map(list, map(folder.glob, tokenizers))):
        return False
    index = folder / "model.safetensors.index.json"
    if not needs_weights or not index.is_file():
        return not needs_weights or any(folder.glob("*.safetensors"))
    try:
        parts = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError):
        return False
    return all((folder / part).is_file() for part in parts)


def connection_error() -> type[Exception]:
    """What a failing connection raises: HTTPError of the library that huggingface_hub uses.

    It is the base of the hub's own errors; httpx and httpx2, which differ by version, both call it
    so, and it is no OSError.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return next(base for base in HfHubHTTPError.__mro__[::-1] if base.__name__ == "HTTPError")
