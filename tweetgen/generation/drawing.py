"""New tweets from a model file: drawn side by side, judged, and drawn again until they are good.

for tweet in generate(storage.load_model("models/fine_tuned_model.pt"), ["Hello"], 3):
    print(tweet.text)
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
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
        prompts: each tweet starts with its prompt; "" leaves all to the model.
        num_tweets: for each prompt. Fewer come where too many drafts in a row fail.
        settings: how drafts are drawn and judged.
        forbid: found in no tweet.
        require: found in every tweet.
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
    shown: set[str] = set()
    queues = [
        _Queue(
            Prompt(number, text, model.prompt_tokens(text, settings.max_length)),
            num_tweets,
            settings,
            judge,
            shown,
            tally,
        )
        for number, text in enumerate(texts, first_prompt)
    ]
    return _tweets(model, settings, queues)


class _Queue:
    """The drafts of one prompt: how many to start, and which are shown, in their order."""

    def __init__(
        self,
        prompt: Prompt,
        num_tweets: int,
        settings: SamplingSettings,
        judge: Judge,
        shown: set[str],
        tally: Tally,
    ) -> None:
        self.prompt = prompt
        self._missing, self._seed = num_tweets, settings.seed
        self._judge, self._shown, self._tally = judge, shown, tally
        # Temperature 0 is deterministic: all drafts would be the same.
        self._most_drafts = 1 if settings.temperature == 0 else None
        self._num_settled = 0
        self._judged: dict[int, tuple[Draft, Fault | None]] = {}  # waiting for earlier ones
        self._tries = self._failed = 0  # since the last tweet shown; since the last good draft

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to be shown."""
        return not self._missing

    def num_to_start(self) -> int:
        """How many drafts are needed beside those under way.

        After failures one more for each, so that the last tweets do not wait for one another.
        """
        bad = sum(fault is not None for _, fault in self._judged.values())
        if self.is_done or bad >= MOST_TRIES:  # an earlier prompt is not settled yet
            return 0
        under_way = self.prompt.num_started - self._num_settled - bad
        wanted = self._missing + self._failed - under_way
        if self._most_drafts is not None:
            wanted = min(wanted, self._most_drafts - self.prompt.num_started)
        return max(0, wanted)

    def add(self, draft: Draft) -> None:
        """Judge a draft and keep it until its turn."""
        self._judged[draft.number] = (draft, self._judge.fault(draft))

    def settle(self) -> Iterator[Tweet]:
        """The tweets that are certain now: those whose earlier drafts are all judged."""
        while not self.is_done and self._num_settled in self._judged:
            draft, fault = self._judged.pop(self._num_settled)
            fault = fault or (Fault.REPEATED if draft.text in self._shown else None)
            self._num_settled += 1
            self._tries += 1
            self._tally.drafts += 1
            if fault:
                self._tally.faults[fault] += 1
                self._failed += 1
            else:
                yield self._tweet(draft)
            if self._failed == MOST_TRIES or self._num_settled == self._most_drafts:
                self._missing = 0
        if self.is_done:
            self.prompt.prefix = None

    def _tweet(self, draft: Draft) -> Tweet:
        tries, self._tries, self._failed = self._tries, 0, 0
        self._missing -= 1
        self._shown.add(draft.text)
        self._tally.shown += 1
        return Tweet(
            prompt=self.prompt.text,
            text=draft.text,
            weighted_length=weighted_length(draft.text),
            finished=draft.finished,
            mean_log_probability=draft.mean_log_probability,
            tries=tries,
            seed=self._seed,
        )


def _tweets(model: TweetModel, settings: SamplingSettings, queues: list[_Queue]) -> Iterator[Tweet]:
    """The tweets of all queues, in order."""
    by_number = {queue.prompt.number: queue for queue in queues}
    num_done = 0

    def wanted(num_free: int) -> list[Prompt]:
        """The prompts of the next drafts, the first queues' first."""
        prompts: list[Prompt] = []
        for queue in queues[num_done:]:
            if len(prompts) == num_free:
                break
            prompts += [queue.prompt] * min(queue.num_to_start(), num_free - len(prompts))
        return prompts

    def is_hopeless(prompt: Prompt, tokens: list[int]) -> bool:
        text = model.text_of(prompt.text, prompt.tokens[1:], tokens)
        return is_certainly_longer(text, settings.max_length)

    longest_prompt = max((len(queue.prompt.tokens) for queue in queues), default=0)
    for drafts in draw(DraftBatch(model, settings, longest_prompt, is_hopeless), wanted):
        for draft in drafts:
            by_number[draft.prompt.number].add(draft)
        while num_done < len(queues):
            yield from queues[num_done].settle()
            if not queues[num_done].is_done:
                break
            num_done += 1
        if num_done == len(queues):
            return


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
    settings = settings.for_model(model.num_parameters)
    prompt = Prompt(0, "", [model.eos_token_id])
    batch = DraftBatch(model, settings, 1, lambda _, tokens: len(tokens) >= most_tokens)
    drafts = [
        draft
        for ended in draw(batch, lambda free: [prompt] * min(free, num_drafts - prompt.num_started))
        for draft in ended
    ]
    return sorted(drafts, key=lambda draft: draft.number)
