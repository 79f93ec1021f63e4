from tweetgen.models.building import (
    config_json_of,
    context_length,
    model_from_scratch,
    model_from_weights,
    weights_of,
)
from tweetgen.models.default import resolve
from tweetgen.models.exporting import check_exportable, export
from tweetgen.models.loading import (
    Pretrained,
    PretrainedTokenizer,
    load_config,
    load_pretrained,
    load_tokenizer,
)

__all__ = [
    "Pretrained",
    "PretrainedTokenizer",
    "check_exportable",
    "config_json_of",
    "context_length",
    "export",
    "load_config",
    "load_pretrained",
    "load_tokenizer",
    "model_from_scratch",
    "model_from_weights",
    "resolve",
    "weights_of",
]
