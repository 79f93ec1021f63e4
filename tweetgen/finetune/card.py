"""What a training leaves for people: the model's card, in Markdown."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tweetgen.console import printable
from tweetgen.files import with_suffix

CARD = """\
---
{metadata}
---

# {name}

{model_name}, fine-tuned with tweetgen on {train_tweets:,} tweets. Draw tweets with
`python generate.py --model_path {path}`.

## Data

{data}

## Training

{settings}

{progress}

![Loss by step]({curve})

## What it writes

Its first drafts that came to an end, with the default settings:

{samples}

More of its first drafts, ended or not, beside tweets of the data:

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
# For --resume, not for people.
NOT_SHOWN = {"model", "architecture", "frozen_weights", "precision", "patience"}


def card(
    training: dict[str, Any], model_path: Path, samples: Sequence[str], evaluation: str
) -> str:
    """The card of a model file, as Markdown that begins with the hub's metadata.

    `training` is that part of the model file, `evaluation` the table of its first drafts.
    """
    return CARD.format(
        metadata=metadata(training),
        name=model_path.stem,
        path=model_path,
        curve=with_suffix(model_path, ".png").name,
        model_name=training["model_name"],
        train_tweets=training["num_train_tweets"],
        data=_data_lines(training),
        settings=_table([("setting", "value"), *_setting_rows(training)]),
        progress=_progress_table(training),
        samples="\n".join(f"- {_inline(sample)}" for sample in samples),
        evaluation=evaluation,
    )


def metadata(training: dict[str, Any]) -> str:
    """The lines of YAML that the hub reads from a card. No data set is named: tweets are private.

    https://huggingface.co/docs/hub/model-cards
    """
    base = training["base_model"]
    known = next((entry for entry in BASES if base.startswith(entry[0])), None)
    license_name, hub_name = known[1:] if known else ("unknown", "{}")
    hub_name = hub_name.format(base)
    lines = [f"license: {license_name}", f"language: {training['language']}"]
    if HUB_NAME.fullmatch(hub_name) and not Path(hub_name).exists():
        lines += [f"base_model: {hub_name}", "base_model_relation: finetune"]
    lines += ["library_name: transformers", "pipeline_tag: text-generation", "tags:"]
    lines += [f"- {tag}" for tag in ("tweets", "tweetgen")]
    return "\n".join([*lines, "- lora"] if training["settings"].get("lora_rank") else lines)


def language_of(texts: Sequence[str]) -> str:
    """The ISO 639 code of the language most of the texts are in, "und" if none is known."""
    text = " ".join(texts).casefold()
    letters = len(re.findall(r"\w", text)) or 1
    for code, letter in SCRIPTS.items():
        if len(re.findall(f"[{letter}]", text)) / letters > 0.2:
            return code
    words = re.findall(r"[^\W\d_]+", text)
    shares = {
        code: sum(word in frequent.split() for word in words) / (len(words) or 1)
        for code, frequent in FREQUENT_WORDS.items()
    }
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] > 0.05 else "und"


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


def _data_lines(training: dict[str, Any]) -> str:
    counts = training["counts"]
    dropped = [(rule, count) for rule, count in counts["dropped"].items() if count]
    lines = [
        f"{counts['read']:,} tweets read, {counts['kept']:,} kept: "
        f"{training['num_train_tweets']:,} for training "
        f"({training['num_train_tokens']:,} tokens), "
        f"{training['num_validation_tweets']:,} for validation.",
    ]
    if dropped:
        lines.append(
            "Dropped: " + ", ".join(f"{count:,} {rule}" for rule, count in sorted(dropped)) + "."
        )
    cleaning = ", ".join(f"{name} {value}" for name, value in training["cleaning"].items() if value)
    lines.append(f"Cleaning: {cleaning}.")
    return "\n\n".join(lines)


def _setting_rows(training: dict[str, Any]) -> list[tuple[str, str]]:
    used = {n: v for n, v in training["settings"].items() if v and n not in NOT_SHOWN}
    rows = [("parameters", f"{training['num_parameters']:,}")]
    rows += [(name.replace("_", " "), readable(value)) for name, value in used.items()]
    return [*rows, ("time", f"{training['seconds'] / 60:.1f} minutes")]


def _progress_table(training: dict[str, Any]) -> str:
    header = ("step", "epoch", "training loss", "validation loss", "perplexity", "bits/character")
    rows = [header]
    for entry in training["history"]:
        loss, bits = entry["loss"], entry["bits_per_character"]
        rows.append(
            (
                f"{entry['step']:,}",
                f"{entry['epoch']:.3g}",
                _figure(entry["training_loss"]),
                _figure(loss),
                "-" if loss is None else f"{perplexity(loss):,.1f}",
                _figure(bits),
            )
        )
    return _table(rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)


def _inline(text: str) -> str:
    """A tweet as Markdown text on one line, nothing in it taken for markup."""
    for sign in "\\`*_[]<>#|":
        text = text.replace(sign, "\\" + sign)
    return printable(text)
