"""A model's first drafts beside human tweets: how well they are told apart, and by what."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from tweetgen.dataset import TokenizedTweets
from tweetgen.device import choose_device
from tweetgen.errors import TweetgenError
from tweetgen.evaluation.likelihood import likelihoods
from tweetgen.evaluation.rates import ROWS, Learned, measure
from tweetgen.evaluation.score import FEWEST_TWEETS, Score, tell_apart
from tweetgen.generation import drawing
from tweetgen.models import Pretrained, load_pretrained, model_from_weights
from tweetgen.settings import SamplingSettings

CLOSE = 0.03  # of the bits per character of human tweets


@dataclasses.dataclass(frozen=True)
class Fluency:
    """Bits per character under a judge, which has seen neither."""

    judge: str
    drafts: float
    human: float

    def __str__(self) -> str:
        more = self.drafts / self.human - 1
        verdict = "too smooth" if more < 0 else "word salad"
        if abs(more) <= CLOSE:
            verdict = "close"
        return (
            f"fluency: {self.drafts:.3f} bits per character, held-out tweets {self.human:.3f} "
            f"({more:+.0%}: {verdict}); judge: {self.judge}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model's first drafts and human tweets, measured in the same way; plain values inside."""

    model: dict[str, float]  # by the keys of `rates.ROWS`
    human: dict[str, float]
    human_source: str  # "held-out tweets", or "training tweets" where none are held out
    score: Score | None  # None with fewer than FEWEST_TWEETS of any kind
    fluency: Fluency | None  # None without a judge
    bits_per_character: float | None  # of all held-out tweets, end-of-text included
    eos_share: float | None  # of these bits
    settings: dict[str, Any]  # how the drafts were drawn
    notes: list[str]

    def table(self) -> str:
        """Lines to print: the verdicts, then two columns of numbers, then notes."""
        rows = [("", "model", self.human_source)]
        for key, words, form in ROWS:
            values = [column.get(key) for column in (self.model, self.human)]
            model, human = ("-" if value is None else form.format(value) for value in values)
            rows.append((words, model, human))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{words:<{widths[0]}}  {model:>{widths[1]}}  {human:>{widths[2]}}"
            for words, model, human in rows
        ]
        how = "first drafts at temperature {temperature:g}, top-p {top_p:g}"
        return "\n".join(
            [*self._verdicts(), "", *lines, how.format_map(self.settings), *self.notes]
        )

    def _verdicts(self) -> list[str]:
        too_few = f"told apart from held-out tweets: too few of them, {FEWEST_TWEETS} are needed"
        lines = self.score.lines() if self.score else [too_few]
        lines += [str(self.fluency)] if self.fluency else []
        if self.bits_per_character is not None and self.eos_share is not None:
            lines.append(
                f"bits per character of the held-out tweets: {self.bits_per_character:.3f}, "
                f"{self.eos_share:.1%} of them for the end of text"
            )
        return lines


def evaluate(
    model_file: dict[str, Any],
    tokens: TokenizedTweets,
    settings: SamplingSettings,
    num_samples: int = 500,
    *,
    device: str = "auto",
    precision: str = "auto",
    judge: str | None = None,
    model: drawing.TweetModel | None = None,
    most_tokens: int = 0,
) -> Evaluation:
    """Compare a model's first drafts, drawn without any check, with held-out tweets.

    Args:
        tokens: the human side is their validation part, or all of them where there is none.
        settings: how drafts are drawn and how long they may be; `copies` is not used.
        num_samples: how many drafts, and at most how many human tweets.
        device: "auto" or a name that `choose_device` takes.
        precision: of the drafts; likelihoods are always computed in float32.
        judge: the name of a model that has seen neither side, or "auto": the one this model was
            trained from, if it can be had. None leaves out what takes a judge, and its time.
        model: `model_file` as `drawing.load` gives it, where it is loaded already.
        most_tokens: a longer draft is given up; 0 means twice as many as characters are allowed.

    Raises:
        TweetgenError: the tokens are of another tokenizer than the model's, or the named judge
            cannot be loaded.
    """
    _check_tokenizer(model_file, tokens)
    model = model or drawing.load(model_file, device, precision)
    settings = settings.for_model(model.num_parameters)
    drawn = drawing.first_drafts(model, settings, num_samples, most_tokens)
    drafts, place, texts = [draft.text for draft in drawn], choose_device(device), tokens.texts()
    known, held_out = texts[: tokens.validation_start], texts[tokens.validation_start :]
    human = evenly_spaced(held_out or known, num_samples)
    learned = Learned(model_file["originality"], known)
    limit, num_pooled = settings.max_length, min(len(drafts), len(human))
    same_data = model_file["training"].get("data_fingerprint") == tokens.fingerprint
    judge_found, notes = _find_judge(judge if held_out else None, model_file["training"])
    if not same_data:
        notes.append("the model was trained on other data: its tweets may be among these")
    compared = (drafts, human, evenly_spaced(known, len(human))) if held_out else ([], [], [])
    score, fluency = _verdict(compared, judge_found, place, settings.seed)
    bits, eos_share = _bits_per_character(model_file, held_out, place, is_recorded=same_data)
    return Evaluation(
        model=measure(drafts, limit, num_pooled, learned, [draft.finished for draft in drawn]),
        human=measure(human, limit, num_pooled, learned if held_out else None),
        human_source="held-out tweets" if held_out else "training tweets",
        score=score,
        fluency=fluency,
        bits_per_character=bits,
        eos_share=eos_share,
        settings=dataclasses.asdict(settings),
        notes=notes,
    )


def _check_tokenizer(model_file: dict[str, Any], tokens: TokenizedTweets) -> None:
    if tokens.tokenizer_json != model_file["tokenizer_json"]:
        raise TweetgenError(
            "the token file was made for another model. Give --data the file this model was "
            "trained on, or run preprocess.py with its --model."
        )


def evenly_spaced(texts: Sequence[str], count: int) -> list[str]:
    """At most `count` of the texts, from all over them: ("abcdefghij", 4) -> a, c, f, h."""
    count = min(count, len(texts))
    return [texts[place * len(texts) // count] for place in range(count)]


def _find_judge(
    name: str | None, training: dict[str, Any]
) -> tuple[tuple[str, Pretrained] | None, list[str]]:
    """The named judge, if any; and why there is none, for people."""
    if name is None:
        return None, []
    if name != "auto":
        return (name, load_pretrained(name)), []
    start = training.get("base_model") or training.get("model_name", "")
    try:
        return (start, load_pretrained(start)), []
    except TweetgenError as error:
        return None, [f"without a judge of likelihood: {error}"]


def _verdict(
    kinds: tuple[list[str], list[str], list[str]],
    judge: tuple[str, Pretrained] | None,
    device: torch.device,
    seed: int,
) -> tuple[Score | None, Fluency | None]:
    """Score and fluency of drafts, held-out and training tweets; None where they cannot be had."""
    found = [likelihoods(judge[1], texts, device) for texts in kinds] if judge else []
    bits = [each.bits_per_character for each in found]
    fluency = Fluency(judge[0], bits[0], bits[1]) if judge else None
    count = min(map(len, kinds))
    if count < FEWEST_TWEETS:
        return None, fluency
    drafts, human, learned = (texts[:count] for texts in kinds)
    figures = [each.figures[:count] for each in found]
    return tell_apart(drafts, human, learned, figures, seed), fluency


def _bits_per_character(
    model_file: dict[str, Any], held_out: list[str], device: torch.device, is_recorded: bool
) -> tuple[float, float] | tuple[None, None]:
    """Bits per character of the held-out tweets, and the share of them that EOS costs."""
    if not held_out:
        return None, None
    history = model_file["training"].get("history", [])
    best = [entry for entry in history if entry["is_best"] and is_recorded]
    if best:
        eos_bits, bits = best[-1]["eos_bits_per_character"], best[-1]["bits_per_character"]
    else:
        model = model_from_weights(model_file["config_json"], model_file["weights"])
        own = Pretrained(model, model_file["tokenizer_json"], model_file["eos_token_id"])
        found = likelihoods(own, held_out, device)
        eos_bits = found.eos_bits_per_character
        bits = found.bits_per_character + eos_bits
    return bits, eos_bits / bits
