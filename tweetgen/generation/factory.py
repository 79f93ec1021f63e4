"""From a model file's config and weights to the fastest decoder there is for them."""

import json

import torch
from torch import Tensor

from tweetgen.device import choose_precision
from tweetgen.errors import TweetgenError
from tweetgen.generation import gpt2, llama
from tweetgen.generation.decoder import Decoder
from tweetgen.generation.linear import has_int8
from tweetgen.generation.transformer import Weights


def load_decoder(
    config_json: str, weights: dict[str, Tensor], device: torch.device, precision: str
) -> Decoder:
    """The fastest decoder there is for a model.

    Args:
        config_json: the transformers config.
        weights: its state_dict in float32, bfloat16 or float16, tied tensors once.
        device: where to compute.
        precision: "fp32", "bf16", "int8" or "auto": int8 on x86 processors, otherwise bf16 where
            the hardware multiplies in it.

    Raises:
        TweetgenError: transformers knows no such model, it has no key/value cache, or int8 is not
            for this device.
    """
    if precision == "auto" and device.type == "cpu" and has_int8():
        precision = "int8"
    if precision == "int8" and not (device.type == "cpu" and has_int8()):
        raise TweetgenError("int8 needs an x86 processor and --device cpu; use --precision auto.")
    in_int8 = precision == "int8"
    dtype = torch.float32 if in_int8 else choose_precision(precision, device)
    config = json.loads(config_json)
    layers = Weights(weights, device, dtype, in_int8=in_int8)
    if gpt2.is_supported(config):
        return gpt2.GPT2Decoder(config, layers)
    if llama.is_supported(config):
        return llama.LlamaDecoder(config, layers)
    from tweetgen.generation import causal_lm  # imports transformers: 3 s

    return causal_lm.load(config_json, weights, device, dtype, in_int8=in_int8)
