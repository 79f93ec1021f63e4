"""Tweets as token ids: the encoder, the content of a token file, and the batches of a training."""

import dataclasses
import itertools
import math
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class TokenizedTweets:
    """The content of a token file; see the table of keys in the file's format.

    Tweet i is `ids[offsets[i]:offsets[i + 1]]` and ends with EOS; tweets from `validation_start`
    on are the validation part.
    """

    ids: Tensor  # int32 (N,)
    offsets: Tensor  # int64 (tweets + 1,)
    validation_start: int
    tokenizer_name: str
    tokenizer_json: str
    eos_token_id: int
    settings: dict[str, Any]
    counts: dict[str, Any]
    characters: Tensor  # int64 (tweets,)
    fingerprint: str

    @classmethod
    def from_file(cls, content: dict[str, Any]) -> "TokenizedTweets":
        """The tokens in what `storage.load_tokens` returns."""
        return cls(**{field.name: content[field.name] for field in dataclasses.fields(cls)})

    def texts(self) -> list[str]:
        """Every tweet as text, in order, decoded from its ids."""
        tokenizer = Tokenizer.from_str(self.tokenizer_json)
        borders = self.offsets.tolist()
        ids = self.ids.tolist()
        tweets = [ids[start : end - 1] for start, end in itertools.pairwise(borders)]
        return tokenizer.decode_batch(tweets, skip_special_tokens=False)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_training(self) -> int:
        """How many tweets are trained on."""
        return self.validation_start

    @property
    def num_validation(self) -> int:
        """How many tweets are held out."""
        return len(self) - self.validation_start

    @property
    def lengths(self) -> Tensor:
        """Tokens of each tweet, EOS included; int64 (tweets,)."""
        return self.offsets[1:] - self.offsets[:-1]


class PackedBatch(NamedTuple):
    """Some tweets as rows `EOS tweet EOS`, one after another without padding; N tokens in all.

    `inputs` are all but each row's last token, `targets` all but its first, so each tweet is
    learned to its EOS and positions are told apart by place, never by id.
    """

    inputs: Tensor  # int64 (N,)
    targets: Tensor  # int64 (N,)
    positions: Tensor  # int64 (N,), from 0 in each tweet
    lengths: Tensor  # int64 (B,)

    def to(self, device: torch.device) -> "PackedBatch":
        """The same batch on a device."""
        return PackedBatch(*(tensor.to(device, non_blocking=True) for tensor in self))


def make_batch(tokens: TokenizedTweets, tweets: Tensor) -> PackedBatch:
    """The batch of the tweets with these numbers (int64 (B,)), in this order."""
    starts, lengths = tokens.offsets[tweets], tokens.lengths[tweets]
    firsts = lengths.cumsum(0) - lengths  # where each tweet begins in the batch
    positions = torch.arange(int(lengths.sum())) - firsts.repeat_interleave(lengths)
    targets = tokens.ids[starts.repeat_interleave(lengths) + positions].long()
    inputs = targets.roll(1)
    inputs[firsts] = tokens.eos_token_id
    return PackedBatch(inputs, targets, positions, lengths)


class TrainingOrder:
    """Which tweets each step is trained on: every tweet once an epoch, in a new order each time.

    An order depends on seed and epoch alone, so that a step's number is enough to go on from it.
    """

    def __init__(self, tokens: TokenizedTweets, batch_size: int, seed: int) -> None:
        self.steps_per_epoch = math.ceil(tokens.num_training / batch_size)
        self._lengths = tokens.lengths[: tokens.num_training]
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = -1
        self._order = torch.empty(0)

    def tweets(self, step: int) -> Tensor:
        """The tweets of a step, counted from 0, longest first; int64 (batch size or fewer,)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
            self._order = torch.randperm(len(self._lengths), generator=generator)
            self._epoch = epoch
        tweets = self._order[place * self._batch_size : (place + 1) * self._batch_size]
        return tweets[self._lengths[tweets].argsort(descending=True, stable=True)]
