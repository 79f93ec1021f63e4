"""How likely a language model finds texts that it did not write: the figures a judge goes by."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tweetgen.models import Pretrained
from tweetgen.tokenizer import encoder

LOW_RANK = 100  # GLTR (arXiv 1906.04043) counts tokens by such ranks: machines seldom go below
BATCH_TOKENS = 1024  # logits of 49,152 entries are then 200 MB


@dataclasses.dataclass(frozen=True)
class Likelihoods:
    """What a judge finds of N texts."""

    # float64 (N, 6): mean, standard deviation and largest surprise of a text's tokens in nats, the
    # share that was the judge's first choice, the share past its first hundred, number of tokens.
    figures: NDArray[np.float64]
    bits_per_character: float  # of the texts, their ends not counted
    eos_bits_per_character: float  # what the ends of text cost in addition


@torch.inference_mode()
def likelihoods(
    judge: Pretrained, texts: Sequence[str], device: torch.device | str = "cpu"
) -> Likelihoods:
    """The figures of each text under the judge, which reads no more than its context length."""
    model = judge.model.to(device).eval()
    encode = encoder(judge.tokenizer_json).encode
    limit = getattr(model.config, "max_position_embeddings", 1024) - 1
    tweets = [encode(text, add_special_tokens=False).ids[:limit] for text in texts]
    figures = np.zeros((len(texts), 6))
    nats = eos_nats = 0.0
    for numbers in _batches([len(tweet) for tweet in tweets]):
        surprises, ranks = _judged(
            model, [tweets[number] for number in numbers], judge.eos_token_id
        )
        for number, surprise, rank in zip(numbers, surprises, ranks, strict=True):
            num_tokens = len(tweets[number])
            nats += float(surprise[:num_tokens].sum())
            eos_nats += float(surprise[num_tokens])
            if num_tokens:
                figures[number] = _figures(surprise[:num_tokens], rank[:num_tokens])
    characters = max(1, sum(map(len, texts))) * math.log(2)
    return Likelihoods(figures, nats / characters, eos_nats / characters)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The texts' numbers, the shortest first, in batches of about BATCH_TOKENS with padding."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * (lengths[number] + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _judged(model: torch.nn.Module, tweets: list[list[int]], eos: int) -> tuple[Tensor, Tensor]:
    """Surprise in nats, float64 (B, T), and rank from 0, (B, T), of all tokens and EOS."""
    width = max(map(len, tweets)) + 2  # EOS before and after; after that what is read is not used
    rows = [[eos, *tweet] + [eos] * (width - 1 - len(tweet)) for tweet in tweets]
    ids = torch.tensor(rows, device=next(model.parameters()).device)
    logits = model(ids[:, :-1]).logits.float()  # (B, T, V)
    chosen = logits.gather(2, ids[:, 1:, None])
    surprises = (logits.logsumexp(2, keepdim=True) - chosen)[..., 0]
    return surprises.double().cpu(), (logits > chosen).sum(2).cpu()


def _figures(surprise: Tensor, rank: Tensor) -> list[float]:
    shares = float((rank == 0).double().mean()), float((rank >= LOW_RANK).double().mean())
    spread = float(surprise.std(correction=0))
    return [float(surprise.mean()), spread, float(surprise.max()), *shares, len(surprise)]
