"""Drafts drawn side by side: rows begin and end at different times in one running batch.

Shapes: B rows in use, T tokens of the longest draft there can be, V vocabulary.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tweetgen.generation.decoder import Decoder, Prefix
from tweetgen.generation.sampling import NUM_UNIFORMS, choose, penalize
from tweetgen.settings import SamplingSettings

# A draft of 280 characters has about 70 tokens; what runs on beyond this is no tweet.
MOST_TOKENS = 4096
STEPS_BETWEEN_CHECKS = 8
CHARACTERS_A_TOKEN = 6  # more than any tweet's mean: shorter drafts need no check


@dataclasses.dataclass(frozen=True)
class Order:
    """A draft to be drawn: number `draft` after prompt number `prompt`."""

    prompt: int
    draft: int
    tokens: Sequence[int]  # the prompt's
    prefix: Prefix


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A draft that is drawn to its end, or was given up."""

    order: Order
    tokens: list[int]  # after the prompt's, without EOS
    finished: bool  # by EOS
    mean_log_probability: float  # nats a token, EOS included


def draft_seed(seed: int, prompt: int, draft: int) -> int:
    """The seed of one draft's random numbers, the same on every machine."""
    digest = hashlib.blake2b(f"{seed} {prompt} {draft}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class Batch:
    """Rows of drafts over one decoder: `start` adds rows, `step` gives each one more token."""

    def __init__(
        self,
        decoder: Decoder,
        settings: SamplingSettings,
        eos_token_id: int,
        never: Sequence[int],
        longest_prompt: int,
        is_hopeless: Callable[[Order, list[int]], bool],
    ) -> None:
        """An empty batch.

        Args:
            decoder: the model; the batch has its rows for itself.
            settings: how tokens are chosen, the seed, and how many rows there are.
            eos_token_id: ends a draft.
            never: ids that are never chosen.
            longest_prompt: in tokens.
            is_hopeless: asked now and then whether a draft with these tokens can be given up.
        """
        self._decoder, self._settings, self._eos = decoder, settings, eos_token_id
        self._is_hopeless = is_hopeless
        self._orders: list[Order] = []  # of rows 0 to B - 1
        self._steps = 0
        # After the last token that the model can read there is one more to draw.
        most_tokens = longest_prompt + max(MOST_TOKENS, settings.max_length)
        self._longest = min(decoder.context_length + 1, most_tokens)
        # Tokens are chosen in float64, which Apple's GPUs do not have.
        device = torch.device("cpu") if decoder.device.type == "mps" else decoder.device
        shape, self._device = (settings.batch_size, self._longest), device
        self._never = torch.tensor(never, dtype=torch.int64, device=device)
        self._history = torch.zeros(shape, dtype=torch.int64, device=device)  # prompt and draft
        self._uniforms = torch.zeros((*shape, NUM_UNIFORMS), dtype=torch.float64, device=device)
        self._lengths = torch.zeros(shape[0], dtype=torch.int64, device=device)
        self._log_sums = torch.zeros(shape[0], device=device)

    def __len__(self) -> int:
        return len(self._orders)

    @torch.inference_mode()
    def start(self, orders: Sequence[Order]) -> list[Drawn]:
        """Add a row for each order and draw its first token; the drafts that this ended."""
        first = len(self)
        for row, order in enumerate(orders, first):
            self._decoder.place(row, order.prefix)
            self._history[row, : order.prefix.length] = torch.tensor(order.tokens)
            self._lengths[row] = order.prefix.length
            self._log_sums[row] = 0
            generator = torch.Generator().manual_seed(
                draft_seed(self._settings.seed, order.prompt, order.draft)
            )
            self._uniforms[row] = torch.rand(
                (self._longest, NUM_UNIFORMS), dtype=torch.float64, generator=generator
            )
        self._orders += orders
        return self._extend(first, torch.stack([order.prefix.logits for order in orders]))

    @torch.inference_mode()
    def step(self) -> list[Drawn]:
        """Draw the next token of each row; the drafts that this ended."""
        num_rows = len(self)
        last = self._history[:num_rows].gather(1, self._lengths[:num_rows, None] - 1)
        drawn = self._extend(0, self._decoder.step(last[:, 0].to(self._decoder.device)))
        self._steps += 1
        if self._steps % STEPS_BETWEEN_CHECKS == 0:
            drawn += self._give_up()
        return drawn

    def _extend(self, first: int, logits: Tensor) -> list[Drawn]:
        """Draw one token for each row from `first` on; the drafts that this ended."""
        rows = slice(first, len(self))
        lengths = self._lengths[rows]
        logits = logits.to(self._device).index_fill_(1, self._never, -torch.inf)
        scores = logits
        if self._settings.repetition_penalty != 1 or self._settings.no_repeat_ngram:
            history = self._history[rows, : int(lengths.max())]
            scores = penalize(logits, history, lengths, self._eos, self._settings)
        numbers = torch.arange(len(lengths), device=lengths.device)
        uniforms = self._uniforms[rows][numbers, lengths]
        choice = choose(logits, scores, uniforms, self._settings)
        self._history[rows].scatter_(1, lengths[:, None], choice.tokens[:, None])
        self._log_sums[rows] += choice.log_probabilities
        lengths += 1
        finished = choice.tokens == self._eos
        ended = (finished | (lengths == self._longest)).nonzero()[:, 0].tolist()
        # From the last one on: a removed row is replaced by the last, which is then not among them.
        return [self._remove(first + row, bool(finished[row])) for row in reversed(ended)]

    def _give_up(self) -> list[Drawn]:
        """Remove the drafts that can come to nothing good."""
        drawn = []
        for row in reversed(range(len(self))):
            order, length = self._orders[row], int(self._lengths[row])
            if length - order.prefix.length >= self._settings.max_length / CHARACTERS_A_TOKEN:
                tokens = self._history[row, order.prefix.length : length].tolist()
                if self._is_hopeless(order, tokens):
                    drawn.append(self._remove(row, False))
        return drawn

    def _remove(self, row: int, finished: bool) -> Drawn:
        """Take a row out and let the last one take its place."""
        order, length = self._orders[row], int(self._lengths[row])
        tokens = self._history[row, order.prefix.length : length].tolist()
        mean = float(self._log_sums[row]) / len(tokens)
        last = self._orders.pop()
        if row < len(self):
            self._orders[row] = last
            self._decoder.move(len(self), row)
            for state in (self._history, self._uniforms, self._lengths, self._log_sums):
                state[row] = state[len(self)]
        return Drawn(order, tokens[:-1] if finished else tokens, finished, mean)
