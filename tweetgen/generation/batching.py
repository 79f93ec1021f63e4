"""Drafts drawn side by side: rows begin and end at different times in one running batch.

Shapes: B rows in use, T tokens of the longest draft there can be, V vocabulary.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from tweetgen.generation.decoder import Prefix
from tweetgen.generation.model import TweetModel
from tweetgen.generation.sampling import NUM_UNIFORMS, choose, penalize
from tweetgen.settings import SamplingSettings

# A draft of 280 characters has about 70 tokens; what runs on beyond this is no tweet.
MOST_TOKENS = 4096
STEPS_BETWEEN_CHECKS = 8
CHARACTERS_A_TOKEN = 6  # more than any tweet's mean: shorter drafts need no check


@dataclasses.dataclass(eq=False)
class Prompt:
    """What drafts begin with, and how many of them were started."""

    number: int  # decides, with the seed and the draft's number, a draft's random numbers
    text: str
    tokens: list[int]  # EOS and the text's
    num_started: int = 0
    prefix: Prefix | None = None  # after the model has read it; large, so dropped when done


@dataclasses.dataclass(frozen=True)
class Draft:
    """What the model wrote after a prompt, good or not."""

    prompt: Prompt
    number: int  # of the prompt's drafts
    text: str  # prompt and continuation
    tokens: list[int]  # of the continuation, without EOS
    finished: bool  # by EOS
    mean_log_probability: float  # nats a token of the continuation, EOS included


def draft_seed(seed: int, prompt: int, draft: int) -> int:
    """The seed of one draft's random numbers, the same on every machine."""
    digest = hashlib.blake2b(f"{seed} {prompt} {draft}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def draw(batch: "DraftBatch", wanted: Callable[[int], Sequence[Prompt]]) -> Iterator[list[Draft]]:
    """Yield the drafts that each step ended, until the batch is empty and none is wanted.

    `wanted` gives up to so many prompts, one for each draft to be started now.
    """
    while True:
        prompts = wanted(batch.num_free)
        ended = batch.start(prompts) if prompts else []
        if len(batch):
            ended += batch.step()
        elif not prompts:
            return
        yield ended


class DraftBatch:
    """Rows of drafts over one decoder: `start` adds rows, `step` gives each one more token."""

    def __init__(
        self,
        model: TweetModel,
        settings: SamplingSettings,
        longest_prompt: int,
        is_hopeless: Callable[[Prompt, list[int]], bool],
    ) -> None:
        """An empty batch, which has the rows of the model's decoder for itself.

        `longest_prompt` is in tokens; `is_hopeless` is asked now and then whether a draft with
        these tokens can be given up.
        """
        self._model, self._decoder, self._settings = model, model.decoder, settings
        self._is_hopeless = is_hopeless
        self._rows: list[tuple[Prompt, int]] = []  # of rows 0 to B - 1: prompt, draft's number
        self._steps = 0
        # After the last token that the model can read there is one more to draw.
        most_tokens = longest_prompt + max(MOST_TOKENS, settings.max_length)
        self._longest = min(self._decoder.context_length + 1, most_tokens)
        # Tokens are chosen in float64, which Apple's GPUs do not have.
        device = torch.device("cpu") if self._decoder.device.type == "mps" else self._decoder.device
        shape, self._device = (settings.batch_size, self._longest), device
        self._never = torch.tensor(model.never, dtype=torch.int64, device=device)
        marks = [number for ids in model.marks.values() for number in ids]
        factors = [
            model.mark_factors.get(kind, 1.0) for kind in model.marks for _ in model.marks[kind]
        ]
        self._marks = torch.tensor(marks, dtype=torch.int64, device=device)
        self._mark_scores = torch.tensor(factors, device=device).log()
        self._history = torch.zeros(shape, dtype=torch.int64, device=device)  # prompt and draft
        self._uniforms = torch.zeros((*shape, NUM_UNIFORMS), dtype=torch.float64, device=device)
        self._lengths = torch.zeros(shape[0], dtype=torch.int64, device=device)
        self._log_sums = torch.zeros(shape[0], device=device)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def num_free(self) -> int:
        """How many drafts can be started."""
        return self._settings.batch_size - len(self)

    @torch.inference_mode()
    def start(self, prompts: Sequence[Prompt]) -> list[Draft]:
        """Add a row with its first token for each prompt's next draft; the drafts this ended."""
        first, logits = len(self), []
        self._read(prompts)
        for row, prompt in enumerate(prompts, first):
            assert prompt.prefix is not None
            self._decoder.place(row, prompt.prefix)
            logits.append(prompt.prefix.logits)
            self._history[row, : len(prompt.tokens)] = torch.tensor(prompt.tokens)
            self._lengths[row], self._log_sums[row] = len(prompt.tokens), 0
            seed = draft_seed(self._settings.seed, prompt.number, prompt.num_started)
            random, shape = torch.Generator().manual_seed(seed), self._uniforms[row].shape
            self._uniforms[row] = torch.rand(shape, dtype=torch.float64, generator=random)
            self._rows.append((prompt, prompt.num_started))
            prompt.num_started += 1
        return self._extend(first, torch.stack(logits))

    @torch.inference_mode()
    def step(self) -> list[Draft]:
        """Draw the next token of each row; the drafts that this ended."""
        num_rows = len(self)
        last = self._history[:num_rows].gather(1, self._lengths[:num_rows, None] - 1)
        ended = self._extend(0, self._decoder.step(last[:, 0].to(self._decoder.device)))
        self._steps += 1
        if self._steps % STEPS_BETWEEN_CHECKS == 0:
            ended += self._give_up()
        return ended

    def _read(self, prompts: Sequence[Prompt]) -> None:
        """Let the model read the prompts that it has not read yet."""
        unread = [prompt for prompt in dict.fromkeys(prompts) if prompt.prefix is None]
        prefixes = self._decoder.prefill([prompt.tokens for prompt in unread]) if unread else []
        for prompt, prefix in zip(unread, prefixes, strict=True):
            prompt.prefix = prefix

    def _extend(self, first: int, logits: Tensor) -> list[Draft]:
        """Draw one token for each row from `first` on; the drafts that this ended."""
        rows, eos = slice(first, len(self)), self._model.eos_token_id
        lengths = self._lengths[rows]
        logits = logits.to(self._device).index_fill_(1, self._never, -torch.inf)
        logits.index_add_(1, self._marks, self._mark_scores.expand(len(logits), -1))
        scores = logits
        if self._settings.repetition_penalty != 1 or self._settings.no_repeat_ngram:
            history = self._history[rows, : int(lengths.max())]
            scores = penalize(logits, history, lengths, eos, self._settings)
        numbers = torch.arange(len(lengths), device=lengths.device)
        uniforms = self._uniforms[rows][numbers, lengths]
        choice = choose(logits, scores, uniforms, self._settings, self._marks)
        self._history[rows].scatter_(1, lengths[:, None], choice.tokens[:, None])
        self._log_sums[rows] += choice.log_probabilities
        lengths += 1
        finished = choice.tokens == eos
        ended = (finished | (lengths == self._longest)).nonzero()[:, 0].tolist()
        # Backwards: `_remove` moves the last row into the hole.
        return [self._remove(first + row, bool(finished[row])) for row in reversed(ended)]

    def _give_up(self) -> list[Draft]:
        """Remove the drafts that can come to nothing good."""
        few = self._settings.max_length / CHARACTERS_A_TOKEN
        return [
            self._remove(row, False)
            for row in reversed(range(len(self)))
            if len(tokens := self._tokens(row)) >= few
            and self._is_hopeless(self._rows[row][0], tokens)
        ]

    def _tokens(self, row: int) -> list[int]:
        """The tokens after the prompt."""
        tokens: list[int] = self._history[row, : int(self._lengths[row])].tolist()
        return tokens[len(self._rows[row][0].tokens) :]

    def _remove(self, row: int, finished: bool) -> Draft:
        """Take a row out and let the last one take its place."""
        (prompt, number), tokens = self._rows[row], self._tokens(row)
        mean = float(self._log_sums[row]) / len(tokens)
        last = self._rows.pop()
        if row < len(self):
            self._rows[row] = last
            self._decoder.move(len(self), row)
            for state in (self._history, self._uniforms, self._lengths, self._log_sums):
                state[row] = state[len(self)]
        tokens = tokens[:-1] if finished else tokens
        text = self._model.text_of(prompt.text, prompt.tokens[1:], tokens)
        return Draft(prompt, number, text, tokens, finished, mean)
