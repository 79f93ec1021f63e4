"""Byte-level BPE tokenizers: what a GGUF file says of one -> tokenizer.json, and back.

A file names the rule that cuts a text into words (`tokenizer.ggml.pre`) and llama.cpp knows the
rules by name: src/llama-vocab.cpp of https://github.com/ggml-org/llama.cpp.
"""

import json
from typing import Any

from tweetgen.errors import TweetgenError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED = 1, 2, 3, 4, 5  # gguf.TokenType
SPECIAL = (UNKNOWN, CONTROL, UNUSED)  # never in a text and never generated

_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
GPT2_WORDS: dict[str, Any] = _BYTES | {"use_regex": True}


def _cl100k_words(digits: str) -> dict[str, Any]:
    """Words as tiktoken's cl100k cuts them, with numbers of so many `digits`."""
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    return {"type": "Sequence", "pretokenizers": [split | {"invert": False}, _BYTES]}


_DIGITS = {"type": "Digits", "individual_digits": True}
PRE_TOKENIZERS: dict[str, dict[str, Any]] = {
    "gpt-2": GPT2_WORDS,
    "smollm": {"type": "Sequence", "pretokenizers": [_DIGITS, GPT2_WORDS]},
    "llama-bpe": _cl100k_words("{1,3}"),
    "qwen2": _cl100k_words(""),
}
OTHER_NAMES = {"gpt2": "gpt-2", "llama3": "llama-bpe", "llama-v3": "llama-bpe"}


def tokenizer_json_from(metadata: dict[str, Any]) -> str | None:
    """The tokenizer.json of the tokenizer that a file describes; None for one of another kind.

    Raises ValueError or KeyError where the metadata contradict themselves.
    """
    rule = str(metadata.get("tokenizer.ggml.pre", ""))
    rule = OTHER_NAMES.get(rule, rule)
    if metadata.get("tokenizer.ggml.model") != "gpt2" or rule not in PRE_TOKENIZERS:
        return None
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    kinds = metadata.get("tokenizer.ggml.token_type") or [NORMAL] * len(tokens)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    if len(vocabulary) < len(tokens) or len(kinds) != len(tokens):
        raise ValueError("its vocabulary has an entry twice")
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": tokens[number], **flags, "special": kind in SPECIAL}
            for number, kind in enumerate(kinds)
            if kind in SPECIAL or kind == USER_DEFINED
        ],
        "normalizer": {"type": "NFC"} if rule == "qwen2" else None,
        "pre_tokenizer": PRE_TOKENIZERS[rule],
        "post_processor": None,
        "decoder": GPT2_WORDS,
        "model": {
            "type": "BPE",
            "vocab": vocabulary,
            "merges": [merge.split(" ") for merge in metadata.get("tokenizer.ggml.merges", ())],
            "ignore_merges": rule == "llama-bpe",  # a word that is an entry is one
            **dict.fromkeys(
                ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")
            ),
            "fuse_unk": False,
            "byte_fallback": False,
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def rule_of(tokenizer_json: str) -> str:
    """What `tokenizer.ggml.pre` must say of this tokenizer; TweetgenError if it has no name."""
    document = json.loads(tokenizer_json)
    is_bpe = document["model"]["type"] == "BPE" and not document["model"].get("byte_fallback")
    found = _essentials(document.get("pre_tokenizer"))
    for rule, pre_tokenizer in PRE_TOKENIZERS.items():
        if is_bpe and found == _essentials(pre_tokenizer):
            return rule
    raise TweetgenError(
        "this model's tokenizer cannot be written as GGUF: its rule for words is none of "
        f"{', '.join(PRE_TOKENIZERS)}. Choose another --export_format."
    )


def tokens_of(tokenizer_json: str, num_rows: int) -> tuple[list[str], list[int], list[str]]:
    """The tokens of a tokenizer with their types, one for each row of the embedding, and merges."""
    document = json.loads(tokenizer_json)
    entries = {number: (token, NORMAL) for token, number in document["model"]["vocab"].items()}
    for added in document["added_tokens"]:
        kind = CONTROL if added["special"] else USER_DEFINED
        entries[added["id"]] = (added["content"], kind)
    if max(entries) >= num_rows:
        raise TweetgenError("this model has fewer embeddings than its tokenizer has entries.")
    filled = [entries.get(row, (f"[PAD{row}]", UNUSED)) for row in range(num_rows)]
    merges = document["model"]["merges"]  # older files: "a b" in place of ["a", "b"]
    joined = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    return [token for token, _ in filled], [kind for _, kind in filled], joined


def _essentials(pre_tokenizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What of a pre-tokenizer changes the ids, step by step."""
    steps = (pre_tokenizer or {}).get("pretokenizers", [pre_tokenizer or {}])
    return [{key: step[key] for key in step if key != "trim_offsets"} for step in steps]
