"""Raw tweets, small right contents of the two files that pass between the stages, comparison."""

import json
import random

import torch

from tests.tiny import END_ID, byte_tokenizer_json, tiny_config, tiny_model, tiny_tokens

WORDS = ["the", "a", "lamp", "tram", "bell", "coat", "hall", "drawer", "found", "lost", "quiet"]


def write_tweets(path, texts):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)


def sentences(num_texts, seed=0):
    """Different sentences of five to nine words."""
    choose = random.Random(seed)
    texts = (
        " ".join([*choose.choices(WORDS, k=choose.randint(4, 8)), str(number)])
        for number in range(num_texts)
    )
    return list(texts)


def equal(left: object, right: object) -> bool:
    """Whether two file contents are the same: types, keys, values, and tensors bit by bit."""
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


def tokens_content(num_tweets: int = 4, validation_start: int = 3) -> dict:
    """A token file's content: tweet i is A, B or C, i + 1 times, and EOS."""
    texts = ["ABC"[i % 3] * (i + 1) for i in range(num_tweets)]
    return vars(tiny_tokens(texts, num_tweets - validation_start)) | {
        "tokenizer_name": "models/base",
        "settings": {"urls": "remove"},
        "counts": {"read": num_tweets, "kept": num_tweets, "changed": {}, "dropped": {}},
    }


def model_content(architecture: str = "gpt2") -> dict:
    """A model file's content: a tiny model with random weights."""
    weights = {
        name: tensor.clone() for name, tensor in tiny_model(architecture).state_dict().items()
    }
    if architecture == "gpt2":
        del weights["lm_head.weight"]  # tied to the embedding
    return {
        "config_json": tiny_config(architecture).to_json_string(use_diff=False),
        "weights": weights,
        "tokenizer_json": byte_tokenizer_json(),
        "eos_token_id": END_ID,
        "adapters": {},
        "training": {"history": []},
        "originality": {},
    }
