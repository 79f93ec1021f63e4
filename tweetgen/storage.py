"""The files that pass between the stages: plain values and tensors, saved and loaded safely.

Loading executes nothing: only uncompressed zips are opened, and only with `weights_only=True`.
"""

import dataclasses
import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tweetgen.device import memory_errors
from tweetgen.errors import TweetgenError
from tweetgen.files import atomic_write

SAFE_TORCH = (2, 10)  # CVE-2025-32434 and CVE-2026-24747: older ones could be made to execute files

Check = Callable[[Any], bool]


def _tensor(dtype: torch.dtype, rank: int) -> Check:
    return lambda value: (
        isinstance(value, torch.Tensor) and value.dtype == dtype and value.ndim == rank
    )


def _kind(kind: type) -> Check:
    return lambda value: type(value) is kind


def _json(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return isinstance(json.loads(value), dict)
    except ValueError:
        return False


def _named_tensors(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in value.items()
    )


def _finite_weights(value: Any) -> bool:
    return (
        _named_tensors(value)
        and len(value) > 0
        and all(
            tensor.dtype == torch.float32 and bool(torch.isfinite(tensor).all())
            for tensor in value.values()
        )
    )


RESUME_STATE = {
    *("step", "finished", "history", "losses", "best_loss", "since_best", "validated_step"),
    *("seconds", "weights", "best_weights", "averages", "first_moments", "second_moments"),
}


def _resume_state(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == RESUME_STATE


@dataclasses.dataclass(frozen=True)
class Format:
    """One kind of file: its name and version, who writes and reads it, and what must be in it."""

    name: str
    version: int
    writer: str
    reader: str
    keys: dict[str, Check]


TOKENS = Format(
    "tweetgen.tokens",
    1,
    "preprocess.py",
    "fine_tune.py --data",
    {
        "ids": _tensor(torch.int32, 1),
        "offsets": _tensor(torch.int64, 1),
        "validation_start": _kind(int),
        "tokenizer_name": _kind(str),
        "tokenizer_json": _json,
        "eos_token_id": _kind(int),
        "settings": _kind(dict),
        "counts": _kind(dict),
        "characters": _tensor(torch.int64, 1),
        "fingerprint": _kind(str),
    },
)
MODEL = Format(
    "tweetgen.model",
    1,
    "fine_tune.py",
    "generate.py --model_path",
    {
        "config_json": _json,
        "weights": _finite_weights,
        "tokenizer_json": _json,
        "eos_token_id": _kind(int),
        "training": _kind(dict),
        "originality": _named_tensors,
    },
)
RESUME = Format(
    "tweetgen.resume",
    1,
    "fine_tune.py",
    "fine_tune.py --resume",
    {"settings": _kind(dict), "data_fingerprint": _kind(str), "state": _resume_state},
)
FORMATS = {file_format.name: file_format for file_format in (TOKENS, MODEL, RESUME)}


def fingerprint(ids: torch.Tensor, offsets: torch.Tensor, validation_start: int) -> str:
    """SHA-256, in hex, over the token ids, the tweet borders and the split."""
    digest = hashlib.sha256()
    for tensor in (ids, offsets, torch.tensor([validation_start])):
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def save_tokens(path: str | Path, content: dict[str, Any]) -> None:
    """Write `data/processed.pkl`; `content` holds the keys of TOKENS.

    Raises:
        TweetgenError: the file cannot be written.
    """
    _save(path, TOKENS, content)


def save_model(path: str | Path, content: dict[str, Any]) -> None:
    """Write a model file; `content` holds the keys of MODEL. Raises as save_tokens."""
    _save(path, MODEL, content)


def save_resume(path: str | Path, content: dict[str, Any]) -> None:
    """Write the state of an unfinished training. Raises as save_tokens."""
    _save(path, RESUME, content)


def load_tokens(path: str | Path) -> dict[str, Any]:
    """The content of a token file, on the CPU, checked.

    Raises:
        TweetgenError: the file is missing, damaged, unsafe, of another kind or inconsistent.
    """
    content = _load(path, TOKENS)
    problem = _tokens_problem(content)
    if problem:
        raise TweetgenError(f"{path} is damaged: {problem}. Run preprocess.py again.")
    return content


def load_model(path: str | Path) -> dict[str, Any]:
    """The content of a model file, on the CPU, checked. Raises TweetgenError as load_tokens."""
    return _load(path, MODEL)


def load_resume(path: str | Path) -> dict[str, Any]:
    """The content of a resume file, on the CPU, checked. Raises TweetgenError as load_tokens."""
    return _load(path, RESUME)


def _tokens_problem(content: dict[str, Any]) -> str:
    """What contradicts itself in a token file, or ""."""
    ids, offsets, eos = content["ids"], content["offsets"], content["eos_token_id"]
    num_tweets = len(offsets) - 1
    if num_tweets < 0 or offsets[0] != 0 or offsets[-1] != len(ids):
        return "its offsets do not span its ids"
    if num_tweets and bool((offsets[1:] <= offsets[:-1]).any()):
        return "its offsets do not rise"
    if (
        not 0 <= content["validation_start"] <= num_tweets
        or len(content["characters"]) != num_tweets
    ):
        return "its parts differ in length"
    if len(ids) and (int(ids.min()) < 0 or bool((ids[offsets[1:] - 1] != eos).any())):
        return "a tweet does not end with the end-of-text token"
    expected = fingerprint(ids, offsets, content["validation_start"])
    return "" if content["fingerprint"] == expected else "its fingerprint does not match its tokens"


def _save(path: str | Path, file_format: Format, content: dict[str, Any]) -> None:
    assert content.keys() == file_format.keys.keys(), content.keys() ^ file_format.keys.keys()
    _assert_plain(content)
    document = {"format": file_format.name, "version": file_format.version} | content
    with atomic_write(path) as file:
        try:
            torch.save(document, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # torch hides why its writer failed
                raise error.__context__ from None
            raise


def _assert_plain(value: Any) -> None:
    """Only types that `weights_only` loading gives back may be saved."""
    if isinstance(value, dict):
        for key, item in value.items():
            _assert_plain(key)
            _assert_plain(item)
    elif isinstance(value, list):
        for item in value:
            _assert_plain(item)
    else:
        assert value is None or type(value) in (str, int, float, bool, torch.Tensor), type(value)


def _load(path: str | Path, file_format: Format) -> dict[str, Any]:
    check_torch(torch.__version__)
    _check_file(Path(path), file_format)
    content: dict[str, Any] = _load_zip(path, file_format)
    found = content.get("format") if isinstance(content, dict) else None
    if found != file_format.name:
        raise _wrong_kind(path, found, file_format)
    if content.get("version") != file_format.version:
        raise TweetgenError(
            f"{path} has version {content.get('version')} of its format, this program reads "
            f"version {file_format.version}. Update tweetgen, or run {file_format.writer} again."
        )
    for key, is_right in file_format.keys.items():
        if key not in content:
            raise TweetgenError(f"{path} has no '{key}'. Run {file_format.writer} again.")
        if not is_right(content[key]):
            raise TweetgenError(f"{path} has a bad '{key}'. Run {file_format.writer} again.")
    return content


def check_torch(version: str) -> None:
    """Raise TweetgenError where torch is too old to load files safely."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < SAFE_TORCH:
        raise TweetgenError(
            f"tweetgen needs torch >= {SAFE_TORCH[0]}.{SAFE_TORCH[1]}, this is {version} (unsafe "
            "checkpoint loading before). Run pip install -r requirements.txt."
        )


def _check_file(path: Path, file_format: Format) -> None:
    """The gate before torch: a regular file, an uncompressed zip, every checksum right."""
    again = f"Run {file_format.writer} again"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise TweetgenError(f"{path} is not a file. Name the file {file_format.writer} wrote.")
        if not path.open("rb").read(4).startswith(b"PK"):
            whose = "empty" if path.stat().st_size == 0 else "of an old or foreign format"
            raise TweetgenError(f"{path} is {whose}, not a tweetgen file. {again}.")
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise TweetgenError(f"{path} is compressed, as no tweetgen file is. {again}.")
            damaged = archive.testzip()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TweetgenError(f"no such file: {path}. {again}, or name another file.") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise TweetgenError(f"{path} is damaged or incomplete. {again}.") from error
    except OSError as error:
        raise TweetgenError(f"cannot read {path} ({error.strerror or error}). {again}.") from error
    if damaged:
        raise TweetgenError(f"{path} is damaged (checksum of {Path(damaged).name}). {again}.")


def _load_zip(path: str | Path, file_format: Format) -> Any:
    # torch raises RuntimeError, UnpicklingError (a subclass of Exception only) and, for records
    # that do not fit together, plain Python errors: whatever it is, the file is not ours.
    try:
        with memory_errors(f"to load {path}. Free some and try again"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except TweetgenError:
        raise
    except Exception as error:
        raise TweetgenError(
            f"{path} is not a tweetgen file, or has unsafe content; nothing in it was executed. "
            f"Run {file_format.writer} again, or name another file."
        ) from error


def _wrong_kind(path: str | Path, found: Any, file_format: Format) -> TweetgenError:
    if isinstance(found, str) and found in FORMATS:
        other = FORMATS[found]
        return TweetgenError(
            f"{path} was written by {other.writer} for {other.reader}, and {file_format.reader} "
            f"needs a file of {file_format.writer}. Name another file."
        )
    return TweetgenError(
        f"{path} is not a tweetgen file. Name one that {file_format.writer} wrote."
    )
