"""New tweets from a model file: drawn side by side, judged, and drawn again until they are good.

for tweet in generate(storage.load_model("models/fine_tuned_model.pt"), ["Hello"], 3):
    print(tweet.text)
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer

from tweetgen.console import printable
from tweetgen.device import choose_device, keep_freed_memory, memory_errors
from tweetgen.errors import TweetgenError
from tweetgen.generation.batching import MOST_TOKENS, Batch, Drawn, Order
from tweetgen.generation.decoder import Decoder, Prefix, load_decoder
from tweetgen.generation.judging import Draft, Judge, is_certainly_longer, text_of
from tweetgen.generation.tally import Tally
from tweetgen.models.quiet import first_line
from tweetgen.settings import SamplingSettings
from tweetgen.text.copies import CopyGuard
from tweetgen.text.length import weighted_length
from tweetgen.tokenizer import encoder

MOST_TRIES = 200  # drafts of a prompt that may fail one after another
FEWEST_PARAMETERS_FOR_THREADS = 50_000_000
ROOM_FOR_A_TWEET = 60  # tokens of the context that a prompt must leave


@dataclasses.dataclass(frozen=True)
class Tweet:
    """A tweet that can be posted."""

    prompt: str
    text: str  # prompt and continuation
    weighted_length: int  # as X counts
    finished: bool  # ended by the model, as all that are shown
    mean_log_probability: float  # nats a token of the continuation and its EOS
    tries: int  # drafts drawn for it
    seed: int


class TweetModel(NamedTuple):
    """A model file ready to draw from. One `generate` at a time."""

    decoder: Decoder
    tokenizer: Tokenizer
    eos_token_id: int
    never: list[int]  # ids that are not text: chat markers, entries no tokenizer knows
    guard: CopyGuard


def use_threads_for(model_file: dict[str, Any]) -> None:
    """Let this process compute with one thread where the model is too small for several.

    With models/base one thread draws 104 tweets a second; two, which wait for one another at every
    layer, draw as many on a quiet machine and 46 beside another busy process (two cores, AVX2).
    """
    num_parameters = sum(tensor.numel() for tensor in model_file["weights"].values())
    if num_parameters < FEWEST_PARAMETERS_FOR_THREADS:
        torch.set_num_threads(1)


def load(model_file: dict[str, Any], device: str = "auto", precision: str = "auto") -> TweetModel:
    """Make the content of a model file (`storage.load_model`) ready to draw from.

    Args:
        model_file: only config_json, weights, tokenizer_json, eos_token_id, originality are used.
        device: "auto", "cpu", "cuda" or "mps".
        precision: "auto", "int8", "fp32" or "bf16"; see `decoder.load_decoder`.

    Raises:
        TweetgenError: the device is missing, transformers does not know the model, or the parts of
            the file do not fit together.
    """
    place = choose_device(device)
    if place.type == "cpu":
        keep_freed_memory()
    try:
        with memory_errors("for the model that draws. Free some and try again"):
            weights = {name: tensor.float() for name, tensor in model_file["weights"].items()}
            decoder = load_decoder(model_file["config_json"], weights, place, precision)
        tokenizer = encoder(model_file["tokenizer_json"])
    except TweetgenError:
        raise
    except Exception as error:  # tokenizers raises nothing more special
        raise TweetgenError(
            f"the parts of the model file do not fit together: {first_line(error)} "
            "Run fine_tune.py again."
        ) from error
    eos_token_id, size = model_file["eos_token_id"], decoder.vocabulary_size
    if not 0 <= eos_token_id < size:
        raise TweetgenError("the model does not know its end of text. Run fine_tune.py again.")
    added = tokenizer.get_added_tokens_decoder()
    special = [number for number, token in added.items() if token.special and number < size]
    never = [number for number in special if number != eos_token_id]
    if tokenizer.get_vocab_size() < size:
        never += range(max(tokenizer.get_vocab().values()) + 1, size)
    return TweetModel(decoder, tokenizer, eos_token_id, never, CopyGuard(model_file["originality"]))


def generate(
    model: TweetModel | dict[str, Any],
    prompts: Sequence[str] = ("",),
    num_tweets: int = 1,
    settings: SamplingSettings = SamplingSettings(),  # noqa: B008
    *,
    forbid: re.Pattern[str] | None = None,
    require: re.Pattern[str] | None = None,
    first_prompt: int = 0,
    tally: Tally | None = None,
) -> Iterator[Tweet]:
    """Yield `num_tweets` good tweets for each prompt, in order, each as soon as it is settled.

    Drafts are numbered for each prompt and drawn from (seed, prompt number, draft number); those
    shown are the first good ones. So the same arguments give the same tweets, in float32 and int8
    whatever the batch size. A good draft has ended by itself, is within `max_length` and not empty,
    no copy of a training tweet (unless `copies` is "allow") and not one shown before.

    Args:
        model: what `load` made, or the content of a model file.
        prompts: each tweet starts with its prompt; "" leaves all to the model.
        num_tweets: for each prompt. Fewer come where too many drafts in a row fail.
        settings: how drafts are drawn and judged.
        forbid: found in no tweet.
        require: found in every tweet.
        first_prompt: the number of the first prompt, for calls that go on from earlier ones.
        tally: is told what came of all drafts.

    Raises:
        TweetgenError: a prompt is too long or not valid Unicode.
    """
    if not isinstance(model, TweetModel):
        model = load(model)
    tally = tally or Tally()
    guard = model.guard if settings.copies == "reject" else CopyGuard({})
    judge = Judge(guard, settings.max_length, forbid, require)
    texts = [prompt.rstrip() for prompt in prompts]
    if forbid and (bad := next(filter(forbid.search, texts), None)):
        raise TweetgenError(f"{_named(bad)} has forbidden words. Change it or the --forbid file.")
    lines = [
        _Line(number, text, prompt_tokens(model, text, settings.max_length), num_tweets, settings)
        for number, text in enumerate(texts, first_prompt)
    ]
    tally.wanted += num_tweets * len(lines)
    return _draw(model, settings, judge, lines, tally)


def _named(prompt: str) -> str:
    return f"prompt '{printable(prompt, 60)}'"


def prompt_tokens(model: TweetModel, prompt: str, max_length: int) -> list[int]:
    """EOS and the prompt's tokens; a special token's name is characters as any others.

    Raises:
        TweetgenError: the prompt is too long or not valid Unicode.
    """
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise TweetgenError(
            f"{_named(prompt)} is not valid UTF-8. Check the terminal's encoding."
        ) from error
    length = weighted_length(prompt)
    if max_length and length > max_length:
        raise TweetgenError(
            f"{_named(prompt)} is {length:,} long by X's count, over --max_length {max_length:,}. "
            "Shorten it."
        )
    tokens = model.tokenizer.encode(prompt, add_special_tokens=False).ids
    context = model.decoder.context_length
    limit = max(context - ROOM_FOR_A_TWEET, context // 4)
    if len(tokens) > limit:
        raise TweetgenError(
            f"{_named(prompt)} is {len(tokens):,} tokens, limit {limit:,}. Shorten it."
        )
    return [model.eos_token_id, *tokens]


class _Line:
    """The drafts of one prompt: how many to start, and which are shown, in their order."""

    def __init__(
        self,
        number: int,
        prompt: str,
        tokens: list[int],
        num_tweets: int,
        settings: SamplingSettings,
    ) -> None:
        self.number, self.prompt, self.tokens = number, prompt, tokens
        self.prefix: Prefix | None = None
        self._missing, self._rank, self._seed = num_tweets, settings.rank, settings.seed
        # Without chance all drafts are the same.
        self._most_drafts = 1 if settings.temperature == 0 else None
        self._started = self._settled = 0
        self._judged: dict[int, tuple[Draft, str]] = {}  # with the fault or ""
        self._good: list[Draft] = []  # the best of `rank` will be shown
        self._tries = self._failed = 0  # since the last tweet shown; since the last good draft

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to be shown."""
        return not self._missing

    def num_to_start(self) -> int:
        """How many drafts are needed beside those under way.

        After failures one more for each, so that the last tweets do not wait for one another.
        """
        bad = sum(fault != "" for _, fault in self._judged.values())
        if self.is_done or bad >= MOST_TRIES:  # an earlier prompt is not settled yet
            return 0
        under_way = self._started - self._settled - bad
        wanted = self._missing * self._rank - len(self._good) + self._failed - under_way
        if self._most_drafts is not None:
            wanted = min(wanted, self._most_drafts - self._started)
        return max(0, wanted)

    def start(self) -> Order:
        """The next draft."""
        assert self.prefix is not None
        self._started += 1
        return Order(self.number, self._started - 1, self.tokens, self.prefix)

    def add(self, number: int, draft: Draft, fault: str) -> None:
        """Note what came of a draft."""
        self._judged[number] = (draft, fault)

    def settle(self, shown: set[str], tally: Tally) -> Iterator[Tweet]:
        """The tweets that are certain now: those whose earlier drafts are all judged."""
        while not self.is_done and self._settled in self._judged:
            draft, fault = self._judged.pop(self._settled)
            if not fault and (draft.text in shown or draft.text in {d.text for d in self._good}):
                fault = "repeated"
            self._settled += 1
            self._tries += 1
            tally.drafts += 1
            if fault:
                tally.faults[fault] += 1
                self._failed += 1
            else:
                self._good.append(draft)
                self._failed = 0
            is_last = self._failed == MOST_TRIES or self._settled == self._most_drafts
            if len(self._good) == self._rank or (self._good and is_last):
                tweet = self._best()
                shown.add(tweet.text)
                tally.shown += 1
                yield tweet
            if is_last:
                self._missing = 0

    def _best(self) -> Tweet:
        best = max(self._good, key=lambda draft: draft.mean_log_probability)
        tries, self._tries, self._good = self._tries, 0, []
        self._missing -= 1
        return Tweet(
            prompt=self.prompt,
            text=best.text,
            weighted_length=weighted_length(best.text),
            finished=best.finished,
            mean_log_probability=best.mean_log_probability,
            tries=tries,
            seed=self._seed,
        )


def _draw(
    model: TweetModel, settings: SamplingSettings, judge: Judge, lines: list[_Line], tally: Tally
) -> Iterator[Tweet]:
    """The tweets of all lines, in order."""
    by_number = {line.number: line for line in lines}

    def is_hopeless(order: Order, tokens: list[int]) -> bool:
        text = text_of(model.tokenizer, by_number[order.prompt].prompt, order.tokens[1:], tokens)
        return is_certainly_longer(text, settings.max_length)

    longest_prompt = max((len(line.tokens) for line in lines), default=0)
    batch = Batch(
        model.decoder, settings, model.eos_token_id, model.never, longest_prompt, is_hopeless
    )
    shown: set[str] = set()
    num_done = 0
    while num_done < len(lines):
        orders = _next_orders(
            model.decoder, islice(lines, num_done, None), settings.batch_size - len(batch)
        )
        drawn = batch.start(orders) if orders else []
        if len(batch):
            drawn += batch.step()
        for item in drawn:
            line = by_number[item.order.prompt]
            draft = _read(model.tokenizer, line.prompt, item)
            line.add(item.order.draft, draft, judge.fault(draft, line.prompt))
        while num_done < len(lines):
            yield from lines[num_done].settle(shown, tally)
            if not lines[num_done].is_done:
                break
            lines[num_done].prefix = None
            num_done += 1


def _next_orders(decoder: Decoder, lines: Iterator[_Line], num_rows: int) -> list[Order]:
    """Up to `num_rows` drafts that the lines need, the first lines' first."""
    starting: list[_Line] = []
    for line in lines:
        if len(starting) >= num_rows:
            break
        starting += [line] * min(line.num_to_start(), num_rows - len(starting))
    unread = [line for line in dict.fromkeys(starting) if line.prefix is None]
    if unread:
        with torch.inference_mode():
            prefixes = decoder.prefill([line.tokens for line in unread])
        for line, prefix in zip(unread, prefixes, strict=True):
            line.prefix = prefix
    return [line.start() for line in starting]


def _read(tokenizer: Tokenizer, prompt: str, drawn: Drawn) -> Draft:
    text = text_of(tokenizer, prompt, drawn.order.tokens[1:], drawn.tokens)
    return Draft(text, drawn.finished, drawn.mean_log_probability)


def first_drafts(
    model: TweetModel | dict[str, Any],
    settings: SamplingSettings,
    num_drafts: int,
    most_tokens: int = 0,
) -> list[Draft]:
    """The first drafts without a prompt, in order, whatever they are like; none is drawn again.

    One of about `most_tokens` is given up, as without an end; 0 means twice as many tokens as
    `max_length` allows characters.
    """
    most_tokens = most_tokens or 2 * settings.max_length or MOST_TOKENS
    if not isinstance(model, TweetModel):
        model = load(model)
    batch = Batch(
        model.decoder,
        settings,
        model.eos_token_id,
        model.never,
        longest_prompt=1,
        is_hopeless=lambda order, tokens: len(tokens) >= most_tokens,
    )
    tokens = [model.eos_token_id]
    with torch.inference_mode():
        (prefix,) = model.decoder.prefill([tokens])
    drafts: dict[int, Draft] = {}
    num_started = 0
    while len(drafts) < num_drafts:
        upto = min(num_drafts, num_started + settings.batch_size - len(batch))
        orders = [Order(0, number, tokens, prefix) for number in range(num_started, upto)]
        num_started = upto
        drawn = batch.start(orders) if orders else []
        drawn += batch.step() if len(batch) else []
        drafts |= {item.order.draft: _read(model.tokenizer, "", item) for item in drawn}
    return [drafts[number] for number in range(num_drafts)]
