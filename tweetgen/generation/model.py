"""A model file made ready to draw from: decoder, tokenizer, and the tweets not to copy."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from tweetgen.console import printable
from tweetgen.device import choose_device, choose_precision, keep_freed_memory, memory_errors
from tweetgen.errors import TweetgenError, first_line
from tweetgen.generation import gpt2, llama
from tweetgen.generation.decoder import Decoder
from tweetgen.generation.linear import has_int8
from tweetgen.generation.marks import find_marks, learned_kinds
from tweetgen.generation.transformer import Weights
from tweetgen.settings import LARGE_MODEL
from tweetgen.text.copies import CopyGuard
from tweetgen.text.length import weighted_length
from tweetgen.tokenizer import encoder

ROOM_FOR_A_TWEET = 60  # tokens of the context that a prompt must leave
SPACES = re.compile(r"[^\S\n\u3000]+")  # cleaning leaves single ones; 1 of 400 drafts had more


class TweetModel(NamedTuple):
    """A model file ready to draw from. One `generate` at a time."""

    decoder: Decoder
    tokenizer: Tokenizer
    eos_token_id: int
    never: list[int]  # ids no tweet has: chat markers, unknown entries, line breaks if none had one
    guard: CopyGuard
    num_parameters: int = 0
    marks: Mapping[str, list[int]] = {}  # ids that begin an emoji, a hashtag ..., by kind
    mark_factors: Mapping[str, float] = {}  # how much likelier these are made; by default 1

    def prompt_tokens(self, prompt: str, max_length: int) -> list[int]:
        """EOS and the prompt's tokens; a special token's name is characters as any others.

        Raises TweetgenError for one that is over `max_length` (0 = any) by X's count, leaves no
        room in the context, or is not valid Unicode.
        """
        name = f"prompt '{printable(prompt, 60)}'"
        try:
            prompt.encode()
        except UnicodeEncodeError as error:
            raise TweetgenError(
                f"{name} is not valid UTF-8. Check the terminal's encoding."
            ) from error
        length = weighted_length(prompt)
        if max_length and length > max_length:
            raise TweetgenError(
                f"{name} is {length:,} long by X's count, over --max_length {max_length:,}. "
                "Shorten it."
            )
        tokens = self.tokenizer.encode(prompt, add_special_tokens=False).ids
        context = self.decoder.context_length
        limit = max(context - ROOM_FOR_A_TWEET, context // 4)
        if len(tokens) > limit:
            raise TweetgenError(f"{name} is {len(tokens):,} tokens, limit {limit:,}. Shorten it.")
        return [self.eos_token_id, *tokens]

    def text_of(self, prompt: str, prompt_tokens: Sequence[int], tokens: Sequence[int]) -> str:
        """The prompt as it was given and the text of the tokens after it, with single spaces.

        Bytes of an unfinished character at the end are dropped, and white space there.
        """
        # Both are decoded together, since some tokenizers drop the space of a text's first token.
        decode = self.tokenizer.decode
        start = decode(prompt_tokens, skip_special_tokens=False)
        whole = decode([*prompt_tokens, *tokens], skip_special_tokens=False)
        if not whole.startswith(start):
            prompt, start = "", ""
        text = SPACES.sub(" ", whole[len(start) :].rstrip("\ufffd").rstrip())
        return prompt + text if prompt else text.lstrip()


def use_threads_for(model_file: dict[str, Any]) -> None:
    """Let this process compute with one thread where the model is too small for several.

    With models/base one thread draws 104 tweets a second; two, which wait for one another at every
    layer, draw as many on a quiet machine and 46 beside another busy process (two cores, AVX2).
    """
    if size_of(model_file) < LARGE_MODEL:
        torch.set_num_threads(1)


def load(model_file: dict[str, Any], device: str = "auto", precision: str = "auto") -> TweetModel:
    """Make the content of a model file (`storage.load_model`) ready to draw from.

    `device` is "auto", "cpu", "cuda" or "mps"; `precision` as `load_decoder` has it.

    Raises:
        TweetgenError: the device is missing, no decoder is there for the model, or the parts of
            the file do not fit together.
    """
    place = choose_device(device)
    if place.type == "cpu":
        keep_freed_memory()
    try:
        with memory_errors("for the model that draws. Free some and try again"):
            weights = model_file["weights"]
            decoder = load_decoder(model_file["config_json"], weights, place, precision)
        tokenizer = encoder(model_file["tokenizer_json"])
        training = model_file["training"]
        learned = learned_kinds(training.get("cleaning", {}))
        factors = {kind: float(f) for kind, f in training.get("mark_factors", {}).items()}
    except TweetgenError:
        raise
    except Exception as error:  # tokenizers raises nothing more special
        raise TweetgenError(
            f"the parts of the model file do not fit together: {first_line(error)} "
            "Run fine_tune.py again."
        ) from error
    eos_token_id = model_file["eos_token_id"]
    if not 0 <= eos_token_id < decoder.vocabulary_size:
        raise TweetgenError("the model does not know its end of text. Run fine_tune.py again.")
    texts = _texts_of_ids(tokenizer, decoder.vocabulary_size)
    never = _ids_without_text(tokenizer, decoder.vocabulary_size, eos_token_id)
    if "line_breaks" not in learned:  # 1.3 % of SmolLM2-135M's drafts had one all the same
        never += [number for number, text in texts.items() if "\n" in text]
    marks = find_marks(tokenizer, texts)
    return TweetModel(
        decoder=decoder,
        tokenizer=tokenizer,
        eos_token_id=eos_token_id,
        never=never,
        guard=CopyGuard(model_file["originality"]),
        num_parameters=size_of(model_file),
        marks={kind: ids for kind, ids in marks.items() if kind in learned},
        mark_factors=factors,
    )


def load_decoder(
    config_json: str, weights: dict[str, Tensor], device: torch.device, precision: str
) -> Decoder:
    """The fastest decoder there is for a transformers config and state_dict, tied tensors once.

    `precision` is "fp32", "bf16", "int8" or "auto": int8 on x86 processors, else bf16 where the
    hardware multiplies in it. Raises TweetgenError where it cannot be had.
    """
    can_int8 = device.type == "cpu" and has_int8()
    if precision == "int8" and not can_int8:
        raise TweetgenError("int8 needs an x86 processor and --device cpu; use --precision auto.")
    in_int8 = can_int8 and precision in ("auto", "int8")
    dtype = torch.float32 if in_int8 else choose_precision(precision, device)
    config, layers = json.loads(config_json), Weights(weights, device, dtype, in_int8=in_int8)
    if gpt2.is_supported(config):
        return gpt2.GPT2Decoder(config, layers)
    if llama.is_supported(config):
        return llama.LlamaDecoder(config, layers)
    from tweetgen.generation import causal_lm  # imports transformers: 3 s

    return causal_lm.load(config_json, weights, device, dtype, in_int8=in_int8)


def size_of(model_file: dict[str, Any]) -> int:
    """The number of a model file's parameters."""
    return sum(tensor.numel() for tensor in model_file["weights"].values())


def _texts_of_ids(tokenizer: Tokenizer, vocabulary_size: int) -> dict[int, str]:
    ids = sorted(number for number in tokenizer.get_vocab().values() if number < vocabulary_size)
    return {number: tokenizer.decode([number], skip_special_tokens=False) for number in ids}


def _ids_without_text(tokenizer: Tokenizer, vocabulary_size: int, eos_token_id: int) -> list[int]:
    """Special tokens but EOS, and the model's entries beyond the tokenizer's."""
    ids = [
        number
        for number, token in tokenizer.get_added_tokens_decoder().items()
        if token.special and number < vocabulary_size and number != eos_token_id
    ]
    if tokenizer.get_vocab_size() < vocabulary_size:
        ids += range(max(tokenizer.get_vocab().values()) + 1, vocabulary_size)
    return ids
