"""What a training leaves for people: the model's card, in Markdown."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tweetgen.console import printable
from tweetgen.files import with_suffix

CARD = """\
---
license: {license}
language: {language}
{base}library_name: transformers
pipeline_tag: text-generation
tags:
- tweets
- tweetgen{lora}
---

# {name}

{model_name}, fine-tuned with tweetgen on {num_train_tweets:,} tweets. Draw tweets with
`python generate.py --model_path {path}`.

## Data

{read:,} tweets read, {kept:,} kept: {num_train_tweets:,} for training
({num_train_tokens:,} tokens), {num_validation_tweets:,} for validation. Dropped: {dropped}.

Cleaning: {cleaning}.

## Training

{settings}

{progress}

![Loss by step]({curve})

## What it writes

Its first drafts that `generate.py` would show, with the default settings:

{samples}

More of its first drafts, good or not, beside tweets of the data:

```
{evaluation}
```

## Use and limits

Meant for playing with a voice. The tweets are invented: they can be wrong, rude or unfair as the
tweets they were learned from, and must not be passed off as the words of the person who wrote
those. Drafts that repeat a training tweet are drawn again by default; the model file holds hashes
of the training tweets, not their text, but the weights remember more than the hashes show.
"""

# What is known of bases: the start of their names, their license, their name on the hub.
BASES = (
    ("models/base", "mit", ""),
    ("smollm2", "apache-2.0", "HuggingFaceTB/SmolLM2-135M-Instruct"),
    ("HuggingFaceTB/SmolLM", "apache-2.0", "{}"),
    ("Qwen/Qwen3", "apache-2.0", "{}"),
    ("openai-community/gpt2", "mit", "{}"),
    ("gpt2", "mit", "openai-community/{}"),
)
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
SCRIPTS = {"ja": "ぁ-ヿ", "ko": "가-힣", "ar": "؀-ۿ", "ru": "а-яё", "zh": "一-鿿"}
# Words that each language has in every third sentence, and the others hardly ever.
FREQUENT_WORDS = {
    "en": "the and is of to you",
    "es": "que los el las una por",
    "fr": "les des est et une pour",
    "de": "der die und ist das nicht",
    "pt": "que não uma os em com",
    "it": "che di per non il una",
    "nl": "het een van en niet dat",
}
PROGRESS = ("step", "epoch", "training loss", "validation loss", "perplexity", "bits/character")
# For --resume, not for people.
NOT_SHOWN = {"model", "architecture", "frozen_weights", "precision", "patience"}


def card(
    training: dict[str, Any], model_path: Path, samples: Sequence[str], evaluation: str
) -> str:
    """The card of a model file, as Markdown that begins with the hub's metadata.

    `training` is that part of the model file, `evaluation` the table of its first drafts. No data
    set is named: tweets are private. https://huggingface.co/docs/hub/model-cards
    """
    license_name, base = _license_and_base(training["base_model"])
    counts, used = training["counts"], training["settings"]
    dropped = [f"{count:,} {rule}" for rule, count in sorted(counts["dropped"].items()) if count]
    rows = [(name, value) for name, value in used.items() if value and name not in NOT_SHOWN]
    settings = [
        ("setting", "value"),
        ("parameters", f"{training['num_parameters']:,}"),
        *((name.replace("_", " "), readable(value)) for name, value in rows),
        ("time", f"{training['seconds'] / 60:.1f} minutes"),
    ]
    return CARD.format_map(
        training
        | {
            "license": license_name,
            "base": base,
            "lora": "\n- lora" if used.get("lora_rank") else "",
            "name": model_path.stem,
            "path": model_path,
            "curve": with_suffix(model_path, ".png").name,
            "read": counts["read"],
            "kept": counts["kept"],
            "dropped": ", ".join(dropped) or "none",
            "cleaning": ", ".join(
                f"{n} {value}" for n, value in training["cleaning"].items() if value
            ),
            "settings": _table(settings),
            "progress": _table([PROGRESS, *map(_progress_row, training["history"])]),
            "samples": "\n".join(f"- {_inline(sample)}" for sample in samples),
            "evaluation": evaluation,
        }
    )


def _license_and_base(name: str) -> tuple[str, str]:
    """The license of the model of this name, and the lines that link its page on the hub."""
    known = next((entry for entry in BASES if name.startswith(entry[0])), ("", "unknown", "{}"))
    hub_name = known[2].format(name)
    is_there = HUB_NAME.fullmatch(hub_name) and not Path(hub_name).exists()
    return known[1], f"base_model: {hub_name}\nbase_model_relation: finetune\n" if is_there else ""


def language_of(texts: Sequence[str]) -> str:
    """The ISO 639 code of the language most of the texts are in, "und" if none is known."""
    text = " ".join(texts).casefold()
    num_letters = len(re.findall(r"\w", text))
    for code, letter in SCRIPTS.items():
        if len(re.findall(f"[{letter}]", text)) > 0.2 * num_letters:
            return code
    words = Counter(re.findall(r"[^\W\d_]+", text))
    found = {code: sum(words[w] for w in own.split()) for code, own in FREQUENT_WORDS.items()}
    best = max(found, key=found.__getitem__)
    return best if found[best] > 0.05 * words.total() else "und"


def perplexity(loss: float) -> float:
    """exp(loss): how many equally likely tokens the model hesitates between, at `loss` nats."""
    return math.exp(min(loss, 700.0))  # exp(710) overflows a float


def readable(value: Any) -> str:
    """A setting's value as a person writes it: 0.0005692794201335083 -> "5.7e-4"."""
    if not isinstance(value, float):
        return str(value).replace("True", "yes")
    if value and abs(value) < 1e-2:
        digits, exponent = f"{value:.1e}".split("e")
        return f"{digits.removesuffix('.0')}e{int(exponent)}"
    return f"{value:.4g}"


def _progress_row(entry: dict[str, Any]) -> tuple[str, ...]:
    """A validation as a row of the table under PROGRESS."""
    loss = entry["loss"]
    figures = (entry["training_loss"], loss, loss and perplexity(loss), entry["bits_per_character"])
    forms = ("{:.3f}", "{:.3f}", "{:,.1f}", "{:.3f}")
    cells = ["-" if v is None else form.format(v) for form, v in zip(forms, figures, strict=True)]
    return (f"{entry['step']:,}", f"{entry['epoch']:.3g}", *cells)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)


def _inline(text: str) -> str:
    """A tweet as Markdown text on one line, nothing in it taken for markup."""
    for sign in "\\`*_[]<>#|":
        text = text.replace(sign, "\\" + sign)
    return printable(text)
