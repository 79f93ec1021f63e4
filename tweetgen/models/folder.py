"""A model in a folder as transformers keeps it: config.json, safetensors, a tokenizer."""

import json
from pathlib import Path
from typing import Any

from tweetgen.device import memory_errors
from tweetgen.errors import TweetgenError
from tweetgen.models.building import check_complete, quiet_transformers, told_faults


class ModelFolder:
    """A folder with a config.json. No code that comes with a model is ever run.

    Methods raise TweetgenError for a file missing or damaged, or that transformers cannot load.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def config_json(self) -> str:
        """The config of transformers."""
        return json.dumps(self._read_object("config.json"))

    def tokenizer(self) -> tuple[str, int]:
        """The tokenizer.json, and the token that ends a text."""
        from tokenizers import Tokenizer

        config = self._read_object("config.json")
        has_own = (self._path / "tokenizer.json").is_file()
        converted = "" if has_own else self._converted_tokenizer()
        try:
            tokenizer_json = converted or (self._path / "tokenizer.json").read_text("utf-8")
            tokenizer = Tokenizer.from_str(tokenizer_json)
        except Exception as error:  # the Rust side raises plain Exception
            raise self._damaged("tokenizer.json") from error
        number = tokenizer.token_to_id(self._end_token())
        if number is None:
            number = config.get("eos_token_id")
            number = number[0] if isinstance(number, list) and number else number
        if not isinstance(number, int):
            raise TweetgenError(
                f"{self._path} does not say which token ends a text. "
                "Add eos_token to its tokenizer_config.json."
            )
        return tokenizer_json, number

    def model(self, dtype: str) -> Any:
        """The model, in "float32" or, with "auto", in the number format it is stored in."""
        if not list(self._path.glob("*.safetensors")):
            raise TweetgenError(
                f"{self._path} needs model.safetensors (found: {self._listing()}). "
                "Other weight files can execute code when loaded; use a model with safetensors."
            )
        what = f"{self._path} is not a causal language model that transformers can load"
        with (
            told_faults(what, "Name another model."),
            memory_errors(f"to load {self._path}. Free some, or name a smaller model"),
        ):
            model, report = quiet_transformers().AutoModelForCausalLM.from_pretrained(
                self._path,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        check_complete(report, str(self._path))
        return model

    def _converted_tokenizer(self) -> str:
        """The tokenizer.json that transformers makes of older files (vocab.json, *.model)."""
        try:
            tokenizer = quiet_transformers().AutoTokenizer.from_pretrained(
                self._path, local_files_only=True, trust_remote_code=False
            )
            return str(tokenizer.backend_tokenizer.to_str())
        except (ValueError, OSError, KeyError, AttributeError, ImportError) as error:
            raise TweetgenError(
                f"{self._path} has no tokenizer.json (found: {self._listing()}). "
                "Use a model that has one."
            ) from error

    def _end_token(self) -> str:
        """What tokenizer_config.json says that ends a text, "" if nothing."""
        if not (self._path / "tokenizer_config.json").is_file():
            return ""
        token = self._read_object("tokenizer_config.json").get("eos_token")
        return str(token.get("content") if isinstance(token, dict) else token or "")

    def _read_object(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self._path / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise self._damaged(name) from error
        if not isinstance(content, dict):
            raise self._damaged(name)
        return content

    def _damaged(self, name: str) -> TweetgenError:
        return TweetgenError(f"{self._path / name} is missing or damaged. Fetch the model again.")

    def _listing(self) -> str:
        names = sorted(path.name for path in self._path.iterdir())
        return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
