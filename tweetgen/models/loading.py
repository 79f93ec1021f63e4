"""Language models and their tokenizers by name: a folder, a hub name, a .gguf file, a .pt of ours.

Only safetensors, GGUF and our own files are read, and no code that comes with a model is ever run.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from tweetgen.models import hub
from tweetgen.models.building import context_length, model_from_weights
from tweetgen.models.folder import ModelFolder
from tweetgen.models.gguf_loading import GgufModel

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


class OwnModel:
    """A model file that fine_tune.py wrote."""

    def __init__(self, path: str) -> None:
        from tweetgen import storage  # not before: preprocess.py needs no torch for other models

        self._path, self._content = path, storage.load_model(path)

    def config_json(self) -> str:
        return str(self._content["config_json"])

    def tokenizer(self) -> tuple[str, int]:
        return self._content["tokenizer_json"], self._content["eos_token_id"]

    def model(self, dtype: str) -> Any:
        return model_from_weights(self.config_json(), self._content["weights"], dtype, self._path)


def load_pretrained(name: str, dtype: str = "float32") -> Pretrained:
    """The model and tokenizer that a name stands for; a hub name's are fetched if need be.

    The weights are in float32 or, with `dtype` "auto", in the number format they are stored in.

    Raises, as the others:
        TweetgenError: no such folder, file or model, no network, or a folder without safetensors.
    """
    source = _find(name, hub.MODEL_FILES)
    tokenizer_json, eos_token_id = source.tokenizer()
    return Pretrained(source.model(dtype), tokenizer_json, eos_token_id)


def load_tokenizer(name: str) -> PretrainedTokenizer:
    """The tokenizer of a model, without loading (or downloading) its weights."""
    source = _find(name, hub.TOKENIZER_FILES)
    length = context_length(json.loads(source.config_json()))
    return PretrainedTokenizer(*source.tokenizer(), length)


def load_config(name: str) -> str:
    """The config of a model as JSON."""
    return _find(name, hub.TOKENIZER_FILES).config_json()


def _find(name: str, files: Sequence[str]) -> OwnModel | GgufModel | ModelFolder:
    if name.endswith(OWN_SUFFIX):
        return OwnModel(name)
    if file := hub.find_gguf(name):
        return GgufModel(file)
    return ModelFolder(hub.find_folder(name, files))
