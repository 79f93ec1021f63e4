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
from torch import Tensor

from tweetgen.device import memory_errors
from tweetgen.errors import TweetgenError
from tweetgen.files import atomic_write

SAFE_TORCH = (2, 10)  # CVE-2025-32434 and CVE-2026-24747: older ones could be made to execute files
WEIGHT_TYPES = (torch.float32, torch.bfloat16, torch.float16)

Check = Callable[[Any], bool]


def _tensor(dtype: torch.dtype, rank: int) -> Check:
    return lambda value: isinstance(value, Tensor) and (value.dtype, value.ndim) == (dtype, rank)


def _kind(kind: type) -> Check:
    return lambda value: type(value) is kind


def _json(value: Any) -> bool:
    try:
        return isinstance(value, str) and isinstance(json.loads(value), dict)
    except ValueError:
        return False


def _named_tensors(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items()
    )


def _finite_tensors(value: Any) -> bool:
    return _named_tensors(value) and all(map(_is_finite, value.values()))


def _is_finite(tensor: Tensor) -> bool:
    # The extremes are NaN or infinite where one element is, and need no temporary of its size.
    extremes = tensor.aminmax() if tensor.numel() else ()
    return tensor.dtype in WEIGHT_TYPES and all(bool(value.isfinite()) for value in extremes)


@dataclasses.dataclass(frozen=True)
class Format:
    """One kind of file: its name and version, who writes and reads it, and what must be in it."""

    name: str
    version: int
    writer: str
    reader: str
    keys: dict[str, Check]


TOKEN_FILE = Format(
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
MODEL_FILE = Format(
    "tweetgen.model",
    2,  # 1: float32 weights only, no adapters
    "fine_tune.py",
    "generate.py --model_path",
    {
        "config_json": _json,
        "weights": lambda value: _finite_tensors(value) and len(value) > 0,
        "adapters": _finite_tensors,
        "tokenizer_json": _json,
        "eos_token_id": _kind(int),
        "training": _kind(dict),
        "originality": _named_tensors,
    },
)
RESUME_FILE = Format(
    "tweetgen.resume",
    2,  # 1: of a training that could be compiled
    "fine_tune.py",
    "fine_tune.py --resume",
    {"settings": _kind(dict), "data_fingerprint": _kind(str), "state": _kind(dict)},
)
FORMATS = {kind.name: kind for kind in (TOKEN_FILE, MODEL_FILE, RESUME_FILE)}


def fingerprint(ids: Tensor, offsets: Tensor, validation_start: int) -> str:
    """SHA-256, in hex, over the token ids, the tweet borders and the split."""
    digest = hashlib.sha256()
    for tensor in (ids, offsets, torch.tensor([validation_start])):
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def save_tokens(path: str | Path, content: dict[str, Any]) -> None:
    """Write a token file; `content` holds the keys of TOKEN_FILE.

    Raises:
        TweetgenError: the file cannot be written.
    """
    _save(path, TOKEN_FILE, content)


def save_model(path: str | Path, content: dict[str, Any]) -> None:
    """Write a model file; `content` holds the keys of MODEL_FILE. Raises as save_tokens."""
    _save(path, MODEL_FILE, content)


def save_resume(path: str | Path, content: dict[str, Any]) -> None:
    """Write an unfinished training; `content` holds the keys of RESUME_FILE. Raises as above."""
    _save(path, RESUME_FILE, content)


def load_tokens(path: str | Path) -> dict[str, Any]:
    """The content of a token file, on the CPU, checked.

    As with every file loaded here, tensors are private views of the file: memory is used where
    they are read, and changing them does not change the file.

    Raises:
        TweetgenError: the file is missing, damaged, unsafe, of another kind or inconsistent.
    """
    content = _load(path, TOKEN_FILE)
    problem = _tokens_problem(content)
    if problem:
        raise TweetgenError(f"{path} is damaged: {problem}. Run preprocess.py again.")
    return content


def load_model(path: str | Path) -> dict[str, Any]:
    """The content of a model file, on the CPU, checked. Raises TweetgenError as load_tokens."""
    return _load(path, MODEL_FILE)


def load_resume(path: str | Path) -> dict[str, Any]:
    """The content of a resume file, on the CPU, checked. Raises TweetgenError as load_tokens."""
    return _load(path, RESUME_FILE)


def _tokens_problem(content: dict[str, Any]) -> str:
    """What contradicts itself in a token file, or ""."""
    ids, offsets, border = content["ids"], content["offsets"], content["validation_start"]
    num_tweets = len(offsets) - 1
    if num_tweets < 0 or offsets[0] != 0 or offsets[-1] != len(ids):
        return "its offsets do not span its ids"
    if bool((offsets[1:] <= offsets[:-1]).any()):
        return "its offsets do not rise"
    if not 0 <= border <= num_tweets or len(content["characters"]) != num_tweets:
        return "its parts differ in length"
    ends = ids[offsets[1:] - 1]
    if len(ids) and (int(ids.min()) < 0 or bool((ends != content["eos_token_id"]).any())):
        return "a tweet does not end with the end-of-text token"
    is_same = content["fingerprint"] == fingerprint(ids, offsets, border)
    return "" if is_same else "its fingerprint does not match its tokens"


def _save(path: str | Path, kind: Format, content: dict[str, Any]) -> None:
    assert content.keys() == kind.keys.keys(), content.keys() ^ kind.keys.keys()
    _assert_plain(content)
    with atomic_write(path) as file:
        try:
            torch.save({"format": kind.name, "version": kind.version} | content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # torch hides why its writer failed
                raise error.__context__ from None
            raise


def _assert_plain(value: Any) -> None:
    """Only types that `weights_only` loading gives back may be saved."""
    if isinstance(value, dict | list):
        parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        for part in parts:
            _assert_plain(part)
    else:
        assert value is None or type(value) in (str, int, float, bool, Tensor), type(value)


def _check_torch() -> None:
    if tuple(map(int, re.findall(r"\d+", torch.__version__)[:2])) < SAFE_TORCH:
        raise TweetgenError(
            f"tweetgen needs torch >= {SAFE_TORCH[0]}.{SAFE_TORCH[1]}, this is "
            f"{torch.__version__} (unsafe checkpoint loading before). "
            "Run pip install -r requirements.txt."
        )


def _load(path: str | Path, kind: Format) -> dict[str, Any]:
    _check_torch()
    _check_zip(Path(path), kind)
    content = _read_zip(path, kind)
    again = f"Run {kind.writer} again"
    if content.get("format") != kind.name:
        raise _wrong_kind(path, content.get("format"), kind)
    version = content.get("version")
    if version != kind.version:
        is_old = isinstance(version, int) and version < kind.version
        raise TweetgenError(
            f"{path} is of version {version}, this program reads version {kind.version}. "
            f"{again}{'' if is_old else ', or update tweetgen'}."
        )
    for key, is_right in kind.keys.items():
        if key not in content:
            raise TweetgenError(f"{path} has no '{key}'. {again}.")
        if not is_right(content[key]):
            raise TweetgenError(f"{path} has a bad '{key}'. {again}.")
    return content


def _check_zip(path: Path, kind: Format) -> None:
    """The gate before torch: a regular file, an uncompressed zip, every checksum right."""
    again = f"Run {kind.writer} again"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise TweetgenError(f"{path} is not a file. Name the file {kind.writer} wrote.")
        with path.open("rb") as file:
            if not file.read(4).startswith(b"PK"):
                whose = "of an old or foreign format" if path.stat().st_size else "empty"
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


def _read_zip(path: str | Path, kind: Format) -> dict[str, Any]:
    """What torch reads; {} for anything but a dict."""
    # torch raises RuntimeError, UnpicklingError (a subclass of Exception only) and, for records
    # that do not fit together, plain Python errors: whatever it is, the file is not ours.
    try:
        with memory_errors(f"to load {path}. Free some and try again"):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except TweetgenError:
        raise
    except Exception as error:
        raise TweetgenError(
            f"{path} is not a tweetgen file, or has unsafe content; nothing in it was executed. "
            f"Run {kind.writer} again, or name another file."
        ) from error
    return content if isinstance(content, dict) else {}


def _wrong_kind(path: str | Path, found: Any, kind: Format) -> TweetgenError:
    if isinstance(found, str) and found in FORMATS:
        other = FORMATS[found]
        return TweetgenError(
            f"{path} was written by {other.writer} for {other.reader}, and {kind.reader} "
            f"needs a file of {kind.writer}. Name another file."
        )
    return TweetgenError(f"{path} is not a tweetgen file. Name one that {kind.writer} wrote.")
