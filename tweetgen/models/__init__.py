from tweetgen.models.pretrained import (
    PretrainedTokenizer,
    config_json_of,
    context_length,
    load_pretrained,
    load_tokenizer,
    model_from_scratch,
    model_from_weights,
    read_config,
    weights_of,
)

__all__ = [
    "PretrainedTokenizer",
    "config_json_of",
    "context_length",
    "load_pretrained",
    "load_tokenizer",
    "model_from_scratch",
    "model_from_weights",
    "read_config",
    "weights_of",
]
