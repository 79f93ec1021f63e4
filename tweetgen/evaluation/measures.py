"""What a model's tweets are like, in plain numbers, beside the same numbers of human tweets."""

import dataclasses
from collections.abc import Sequence, Set
from typing import Any

import torch
from torch import Tensor

from tweetgen.dataset import Tokens
from tweetgen.device import choose_device
from tweetgen.errors import TweetgenError
from tweetgen.evaluation.diversity import (
    compression_ratio,
    distinct,
    mean,
    new_words,
    repetition_within,
    self_bleu,
    split_words,
)
from tweetgen.generation import drawing
from tweetgen.models import model_from_weights
from tweetgen.settings import SamplingSettings
from tweetgen.text import copies as originality
from tweetgen.text.entities import find_emoji, find_hashtags, find_mentions, find_urls
from tweetgen.text.length import weighted_length
from tweetgen.training.learner import Learner
from tweetgen.training.ranks import Ranks
from tweetgen.training.validation import validate

SELF_BLEU_TEXTS = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextMetrics:
    """What a set of tweets is like; shares are of all its tweets, 0 to 1.

    None: says nothing, as the copies among tweets that were trained on.
    """

    texts: int
    ended: float | None  # by the end-of-text token
    empty: float
    within_limit: float  # by X's weighted length
    exact_copies: float | None
    near_copies: float | None  # not counting the exact ones
    usable: float | None  # ended, not empty, within the limit and no copy
    distinct_1: float
    distinct_2: float
    compression_ratio: float
    self_bleu: float
    seq_rep_4: float
    new_words: float | None  # of all words, those in no training tweet
    hashtags: float  # tweets with at least one, as the next three
    mentions: float
    links: float
    emoji: float
    mean_length: float  # X's weighted length
    mean_words: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """What tweets are measured against; None where the tweets are the training tweets."""

    limit: int  # the longest weighted length allowed; 0 = any
    num_pooled: int  # diversity depends on the number of tweets: it is of the first ones only
    hashes: dict[str, Tensor] | None  # of the training tweets, made by `originality.build`
    words: Set[str] | None  # of the training tweets


def measure(
    texts: Sequence[str], ended: Sequence[bool] | None, reference: Reference
) -> TextMetrics:
    """The numbers of one column of the table; `ended` is None for tweets that people ended."""
    limit, hashes, words = reference.limit, reference.hashes, reference.words
    copies = None if hashes is None else originality.copy_kinds(hashes, texts)
    lengths = [weighted_length(text) for text in texts]
    within = [not limit or length <= limit for length in lengths]
    empty = [not text.strip() for text in texts]
    usable = None
    if ended is not None and copies is not None:
        checks = zip(ended, within, empty, copies, strict=True)
        usable = mean([end and fits and not (blank or copy) for end, fits, blank, copy in checks])
    pool = texts[: reference.num_pooled]
    return TextMetrics(
        texts=len(texts),
        ended=None if ended is None else mean(ended),
        empty=mean(empty),
        within_limit=mean(within),
        exact_copies=None if copies is None else mean([kind == "exact" for kind in copies]),
        near_copies=None if copies is None else mean([kind == "near" for kind in copies]),
        usable=usable,
        distinct_1=distinct(pool, 1),
        distinct_2=distinct(pool, 2),
        compression_ratio=compression_ratio(pool),
        self_bleu=self_bleu(pool[:SELF_BLEU_TEXTS]),
        seq_rep_4=repetition_within(texts),
        new_words=None if words is None else new_words(texts, words),
        hashtags=mean([bool(find_hashtags(text)) for text in texts]),
        mentions=mean([bool(find_mentions(text)) for text in texts]),
        links=mean([bool(find_urls(text)) for text in texts]),
        emoji=mean([bool(find_emoji(text)) for text in texts]),
        mean_length=mean(lengths),
        mean_words=mean([len(split_words(text)) for text in texts]),
    )


# What the table says, in order: the words, the field of TextMetrics, how it is written.
ROWS = (
    ("tweets", "texts", "{:,}"),
    ("ended by themselves", "ended", "{:.1%}"),
    ("empty", "empty", "{:.1%}"),
    ("within {limit}", "within_limit", "{:.1%}"),
    ("exact copies of training tweets", "exact_copies", "{:.1%}"),
    ("near copies", "near_copies", "{:.1%}"),
    ("usable as drawn", "usable", "{:.1%}"),
    ("distinct-1 (of {num_pooled})", "distinct_1", "{:.3f}"),
    ("distinct-2 (of {num_pooled})", "distinct_2", "{:.3f}"),
    ("compression ratio (of {num_pooled})", "compression_ratio", "{:.2f}"),
    ("self-BLEU (of {num_self_bleu})", "self_bleu", "{:.3f}"),
    ("repetition within (seq-rep-4)", "seq_rep_4", "{:.3f}"),
    ("words in no training tweet", "new_words", "{:.1%}"),
    ("with a hashtag", "hashtags", "{:.1%}"),
    ("with a mention", "mentions", "{:.1%}"),
    ("with a link", "links", "{:.1%}"),
    ("with emoji", "emoji", "{:.1%}"),
    ("mean weighted length", "mean_length", "{:.1f}"),
    ("mean words and signs", "mean_words", "{:.1f}"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model's first drafts and human tweets, measured in the same way."""

    model: TextMetrics
    human: TextMetrics
    human_source: str  # "held-out tweets", or "training tweets" where none are held out
    same_data: bool  # whether the token file is the one the model was trained on
    num_pooled: int  # tweets of each side whose diversity is compared
    bits_per_character: float | None  # of all held-out tweets, end-of-text included
    eos_share: float | None  # of these bits
    temperature: float
    top_p: float
    seed: int
    limit: int

    def table(self) -> str:
        """Lines to print: the two columns side by side, and the bits per character."""
        rows = [("", "model", self.human_source)]
        rows += [self._row(*row) for row in ROWS]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            f"{name:<{widths[0]}}  {model:>{widths[1]}}  {human:>{widths[2]}}"
            for name, model, human in rows
        ]
        return "\n".join([*lines, *self._notes()])

    def _row(self, name: str, field: str, form: str) -> tuple[str, str, str]:
        numbers = {
            "limit": self.limit or "any length",
            "num_pooled": self.num_pooled,
            "num_self_bleu": min(self.num_pooled, SELF_BLEU_TEXTS),
        }
        values = (getattr(self.model, field), getattr(self.human, field))
        model, human = ("-" if value is None else form.format(value) for value in values)
        return name.format_map(numbers), model, human

    def _notes(self) -> list[str]:
        lines = [f"first drafts at temperature {self.temperature:g}, top-p {self.top_p:g}"]
        if self.bits_per_character is not None and self.eos_share is not None:
            lines.append(
                f"bits per character of the held-out tweets: {self.bits_per_character:.3f}, "
                f"{self.eos_share:.1%} of them for the end of text"
            )
        if not self.same_data:
            lines.append("the model was trained on other data: its tweets may be among these")
        return lines


def evaluate(
    model_file: dict[str, Any],
    tokens: Tokens,
    settings: SamplingSettings,
    num_samples: int = 500,
    *,
    device: str = "auto",
    precision: str = "auto",
    model: drawing.TweetModel | None = None,
) -> Evaluation:
    """Compare a model's first drafts, drawn without any check, with held-out tweets.

    Args:
        model_file: the content of a model file.
        tokens: the human side is their validation part, or all of them where there is none.
        settings: how drafts are drawn and how long they may be; `copies` and `rank` are not used.
        num_samples: how many drafts, and at most how many human tweets.
        device: "auto" or a name that `choose_device` takes.
        model: the model file, loaded already.
        precision: of the drafts; the bits per character are always computed in float32.

    Raises:
        TweetgenError: the tokens are of another tokenizer than the model's.
    """
    if tokens.tokenizer_json != model_file["tokenizer_json"]:
        raise TweetgenError(
            "the token file was made for another model. Give --data the file this model was "
            "trained on, or run preprocess.py with its --model."
        )
    model = model or drawing.load(model_file, device, precision)
    drafts = drawing.first_drafts(model, settings, num_samples)
    texts = tokens.texts()
    learned, held_out = texts[: tokens.validation_start], texts[tokens.validation_start :]
    human = evenly_spaced(held_out or learned, num_samples)
    reference = Reference(
        limit=settings.max_length,
        num_pooled=min(len(human), num_samples),
        hashes=model_file["originality"],
        words={word for text in learned for word in split_words(text)},
    )
    own_reference = dataclasses.replace(reference, hashes=None, words=None)
    bits, eos_share = _bits_per_character(model_file, tokens, choose_device(device))
    return Evaluation(
        model=measure([d.text for d in drafts], [d.finished for d in drafts], reference),
        human=measure(human, None, reference if held_out else own_reference),
        human_source="held-out tweets" if held_out else "training tweets",
        same_data=model_file["training"].get("data_fingerprint") == tokens.fingerprint,
        num_pooled=reference.num_pooled,
        bits_per_character=bits,
        eos_share=eos_share,
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=settings.seed,
        limit=settings.max_length,
    )


def evenly_spaced(texts: Sequence[str], count: int) -> list[str]:
    """At most `count` of the texts, from all over them: ("abcdefghij", 4) -> a, c, f, h."""
    count = min(count, len(texts))
    return [texts[place * len(texts) // count] for place in range(count)]


def _bits_per_character(
    model_file: dict[str, Any], tokens: Tokens, device: torch.device
) -> tuple[float, float] | tuple[None, None]:
    """Bits per character of the held-out tweets, and the share of them that EOS costs."""
    if not tokens.num_validation:
        return None, None
    training = model_file["training"]
    if training.get("data_fingerprint") == tokens.fingerprint:
        found = training["bits_per_character"]
        return found["best"], found["best_eos"] / found["best"]
    # A model of its own: learning and drawing arrange the same weights in different ways.
    model = model_from_weights(model_file["config_json"], model_file["weights"])
    seen = validate(Learner(model, device, torch.float32), tokens, Ranks())
    return seen.bits_per_character, seen.eos_bits_per_character / seen.bits_per_character
