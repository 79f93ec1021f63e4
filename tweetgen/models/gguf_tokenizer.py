"""Byte-level BPE tokenizers: what a GGUF file says of one -> tokenizer.json, and back.

A file names the rule that cuts a text into words (`tokenizer.ggml.pre`) and llama.cpp knows the
rules by name: src/llama-vocab.cpp of https://github.com/ggml-org/llama.cpp.
"""

import json
from typing import Any

from tweetgen.errors import TweetgenError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED = 1, 2, 3, 4, 5  # gguf.TokenType
SPECIAL = (UNKNOWN, CONTROL, UNUSED)  # never in a text and never generated

_CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_CL100K = _CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _SPACES


def _byte_level(use_regex: bool) -> dict[str, Any]:
    """tokenizers' ByteLevel; with `use_regex` it cuts words as GPT-2 does."""
    own = {"add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}
    return {"type": "ByteLevel", **own}


def _split(pattern: str) -> dict[str, Any]:
    """Words by a regular expression, then bytes."""
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    return _sequence(split | {"invert": False}, _byte_level(use_regex=False))


def _sequence(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(steps)}


GPT2_WORDS = _byte_level(use_regex=True)
# The first name of a rule is the one that is written.
PRE_TOKENIZERS: dict[str, dict[str, Any]] = {
    "gpt-2": GPT2_WORDS,
    "smollm": _sequence({"type": "Digits", "individual_digits": True}, GPT2_WORDS),
    "llama-bpe": _split(_CL100K % "{1,3}"),
    "qwen2": _split(_CL100K % ""),
}
OTHER_NAMES = {"gpt2": "gpt-2", "llama3": "llama-bpe", "llama-v3": "llama-bpe"}


def is_known(metadata: dict[str, Any]) -> bool:
    """Whether `tokenizer_json_from` can build the tokenizer that a file describes."""
    return metadata.get("tokenizer.ggml.model") == "gpt2" and _rule(metadata) in PRE_TOKENIZERS


def tokenizer_json_from(metadata: dict[str, Any]) -> str:
    """The tokenizer.json of the tokenizer that a file describes.

    Raises:
        ValueError, KeyError: the metadata contradict themselves.
    """
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    kinds = metadata.get("tokenizer.ggml.token_type") or [NORMAL] * len(tokens)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    if len(vocabulary) < len(tokens) or len(kinds) != len(tokens):
        raise ValueError("its vocabulary has an entry twice")
    merges = [merge.split(" ") for merge in metadata.get("tokenizer.ggml.merges", ())]
    rule = _rule(metadata)
    return tokenizer_json(
        vocabulary,
        merges,
        added=[
            _added_token(number, tokens[number], kind in SPECIAL)
            for number, kind in enumerate(kinds)
            if kind in SPECIAL or kind == USER_DEFINED
        ],
        pre_tokenizer=PRE_TOKENIZERS[rule],
        normalizer={"type": "NFC"} if rule == "qwen2" else None,
        ignore_merges=rule == "llama-bpe",
    )


def tokenizer_json(
    vocabulary: dict[str, int],
    merges: list[list[str]],
    added: list[dict[str, Any]],
    pre_tokenizer: dict[str, Any],
    normalizer: dict[str, Any] | None,
    ignore_merges: bool,
) -> str:
    """A tokenizer.json of a byte-level BPE; `ignore_merges`: a word that is an entry is one."""
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges, "ignore_merges": ignore_merges}
    model |= dict.fromkeys(("dropout", "unk_token"))
    model |= dict.fromkeys(("continuing_subword_prefix", "end_of_word_suffix"))
    model |= dict.fromkeys(("fuse_unk", "byte_fallback"), False)
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": _byte_level(use_regex=True),
        "model": model,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def rule_of(tokenizer_json: str) -> str:
    """What `tokenizer.ggml.pre` must say of this tokenizer.

    Raises:
        TweetgenError: it is of no kind that can be written.
    """
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
    """The tokens of a tokenizer with their types, one for each row of the embedding, and merges.

    Raises:
        TweetgenError: the embedding has too few rows.
    """
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


def _rule(metadata: dict[str, Any]) -> str:
    name = str(metadata.get("tokenizer.ggml.pre", ""))
    return OTHER_NAMES.get(name, name)


def _added_token(number: int, content: str, is_special: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": content, **flags, "special": is_special}


def _essentials(pre_tokenizer: dict[str, Any] | None) -> list[str]:
    """What of a pre-tokenizer changes the ids, step by step."""
    steps = (pre_tokenizer or {}).get("pretokenizers", [pre_tokenizer or {}])
    left_out = {"trim_offsets"}
    return [
        json.dumps({k: v for k, v in step.items() if k not in left_out}, sort_keys=True)
        for step in steps
    ]
