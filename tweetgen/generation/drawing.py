"""New tweets from a model file: drawn side by side, judged, and drawn again until they are good.

for tweet in generate(storage.load_model("models/fine_tuned_model.pt"), ["Hello"], 3):
    print(tweet.text)
"""

import dataclasses
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from tweetgen.console import printable
from tweetgen.errors import TweetgenError
from tweetgen.generation.batching import MOST_TOKENS, Draft, DraftBatch, Prompt, draw
from tweetgen.generation.judging import Fault, Judge, Tally, is_certainly_longer
from tweetgen.generation.model import TweetModel, load, use_threads_for
from tweetgen.settings import SamplingSettings
from tweetgen.text.copies import CopyGuard
from tweetgen.text.length import weighted_length

__all__ = ["Tweet", "TweetModel", "first_drafts", "generate", "load", "use_threads_for"]

MOST_TRIES = 200  # drafts of a prompt that may fail one after another


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
        num_tweets: for each prompt. Fewer come where too many drafts in a row fail.
        forbid: found in no tweet; `require`: found in every tweet.
        first_prompt: the number of the first prompt, for calls that go on from earlier ones.
        tally: is told what came of all drafts.

    Raises:
        TweetgenError: a prompt is too long, not valid Unicode, or has forbidden words.
    """
    if not isinstance(model, TweetModel):
        model = load(model)
    settings = settings.for_model(model.num_parameters)
    texts = [prompt.rstrip() for prompt in prompts]
    if forbid and (bad := next(filter(forbid.search, texts), None)):
        raise TweetgenError(
            f"prompt '{printable(bad, 60)}' has forbidden words. Change it or the --forbid file."
        )
    guard = model.guard if settings.copies == "reject" else CopyGuard({})
    judge = Judge(guard, settings.max_length, forbid, require)
    tally = tally or Tally()
    tally.wanted += num_tweets * len(texts)
    queues = [
        _Queue(Prompt(number, text, model.prompt_tokens(text, settings.max_length)), num_tweets)
        for number, text in enumerate(texts, first_prompt)
    ]
    return _Drawing(model, settings, judge, tally, queues).tweets()


@dataclasses.dataclass
class _Queue:
    """The drafts of one prompt that wait for earlier ones, and how many are still to be shown."""

    prompt: Prompt
    num_missing: int
    num_settled: int = 0
    num_failed: int = 0  # one after another
    judged: dict[int, tuple[Draft, Fault | None]] = dataclasses.field(default_factory=dict)


class _Drawing:
    """One call of `generate`: which drafts to start, and which of them are shown."""

    def __init__(
        self,
        model: TweetModel,
        settings: SamplingSettings,
        judge: Judge,
        tally: Tally,
        queues: Sequence[_Queue],
    ) -> None:
        self._model, self._settings, self._judge, self._tally = model, settings, judge, tally
        self._queues = {queue.prompt.number: queue for queue in queues}
        self._open = deque(queues)
        self._shown: set[str] = set()
        # Temperature 0 is deterministic: all drafts of a prompt would be the same.
        self._most_drafts = 1 if settings.temperature == 0 else sys.maxsize

    def tweets(self) -> Iterator[Tweet]:
        """The tweets of all queues, in order."""
        longest_prompt = max((len(queue.prompt.tokens) for queue in self._open), default=0)
        batch = DraftBatch(self._model, self._settings, longest_prompt, self._is_hopeless)
        for drafts in draw(batch, self._wanted):
            for draft in drafts:
                judged = self._queues[draft.prompt.number].judged
                judged[draft.number] = (draft, self._judge.fault(draft))
            while self._open:
                yield from self._settle(self._open[0])
                if self._open[0].num_missing:
                    break
                self._open.popleft().prompt.prefix = None
            if not self._open:
                return

    def _wanted(self, num_free: int) -> list[Prompt]:
        """The prompts of the next drafts, the first queues' first."""
        prompts: list[Prompt] = []
        for queue in self._open:
            if len(prompts) == num_free:
                break
            prompts += [queue.prompt] * min(self._num_to_start(queue), num_free - len(prompts))
        return prompts

    def _num_to_start(self, queue: _Queue) -> int:
        """How many drafts a prompt needs beside those under way.

        After failures one more for each, so that the last tweets do not wait for one another.
        """
        num_started = queue.prompt.num_started
        num_bad = sum(fault is not None for _, fault in queue.judged.values())
        if num_bad >= MOST_TRIES:  # an earlier prompt is not settled yet
            return 0
        under_way = num_started - queue.num_settled - num_bad
        wanted = queue.num_missing + queue.num_failed - under_way
        return max(0, min(wanted, self._most_drafts - num_started))

    def _is_hopeless(self, prompt: Prompt, tokens: list[int]) -> bool:
        text = self._model.text_of(prompt.text, prompt.tokens[1:], tokens)
        return is_certainly_longer(text, self._settings.max_length)

    def _settle(self, queue: _Queue) -> Iterator[Tweet]:
        """The tweets that are certain now: those whose earlier drafts are all judged."""
        while queue.num_missing and queue.num_settled in queue.judged:
            draft, fault = queue.judged.pop(queue.num_settled)
            fault = fault or (Fault.REPEATED if draft.text in self._shown else None)
            queue.num_settled += 1
            self._tally.drafts += 1
            if fault:
                self._tally.faults[fault] += 1
                queue.num_failed += 1
            else:
                yield self._tweet(draft, queue)
            if queue.num_failed == MOST_TRIES or queue.num_settled == self._most_drafts:
                queue.num_missing = 0

    def _tweet(self, draft: Draft, queue: _Queue) -> Tweet:
        self._shown.add(draft.text)
        self._tally.shown += 1
        tries, queue.num_failed = queue.num_failed + 1, 0
        queue.num_missing -= 1
        return Tweet(
            prompt=draft.prompt.text,
            text=draft.text,
            weighted_length=weighted_length(draft.text),
            finished=draft.finished,
            mean_log_probability=draft.mean_log_probability,
            tries=tries,
            seed=self._settings.seed,
        )


def first_drafts(
    model: TweetModel | dict[str, Any],
    settings: SamplingSettings,
    num_drafts: int,
    most_tokens: int = 0,
) -> list[Draft]:
    """The first drafts without a prompt, in order, whatever they are like; none is drawn again.

    One of about `most_tokens` is given up; 0 means twice as many as `max_length` has characters.
    """
    most_tokens = most_tokens or 2 * settings.max_length or MOST_TOKENS
    if not isinstance(model, TweetModel):
        model = load(model)
    settings = settings.for_model(model.num_parameters)
    prompt = Prompt(0, "", [model.eos_token_id])
    batch = DraftBatch(model, settings, 1, lambda _, tokens: len(tokens) >= most_tokens)
    drawn = draw(batch, lambda free: [prompt] * min(free, num_drafts - prompt.num_started))
    return sorted(chain.from_iterable(drawn), key=lambda draft: draft.number)
