"""Cross-entropy over a large vocabulary without ever holding all logits."""

import torch
from torch import Tensor, nn

CHUNK_ELEMENTS = 1 << 25  # logits held at once: 128 MB in float32, 600 tokens of GPT-2
CACHE_ELEMENTS = 1 << 21  # logits turned into slopes at once on a processor: 8 MB stay in its cache


def token_losses(hidden: Tensor, head: nn.Linear, targets: Tensor) -> Tensor:
    """Negative log-likelihood of each target in nats, float32 (N,); hidden (N, D), targets (N,)."""
    rows = max(1, CHUNK_ELEMENTS // (4 * head.out_features))
    weight = head.weight.to(hidden.dtype)
    # In one tensor made before: a small one left behind by each chunk would keep the next chunk's
    # logits out of the place of the last ones, and memory grow by all of them (0.8 GB).
    losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
    for start in range(0, len(hidden), rows):
        chunk = slice(start, start + rows)
        logits = nn.functional.linear(hidden[chunk], weight, head.bias).float()
        losses[chunk] = nn.functional.cross_entropy(logits, targets[chunk], reduction="none")
    return losses


@torch.no_grad()
def add_loss_gradients(
    hidden: Tensor, head: nn.Linear, targets: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The summed loss (float32), and scale times its gradient with respect to hidden (N, D).

    The head's own gradients are added to its parameters' `grad`. They are made while a chunk's
    logits are there, so that nothing is computed twice. Multiplications are done in the number
    format of `hidden`, the rest in float32.
    """
    total = hidden.new_zeros((), dtype=torch.float32)
    weight = head.weight.to(hidden.dtype)
    rows = max(1, CHUNK_ELEMENTS // head.out_features)
    gradients = torch.empty_like(hidden)
    for part, goal, gradient in zip(
        hidden.split(rows), targets.split(rows), gradients.split(rows), strict=True
    ):
        logits = torch.mm(part, weight.T)
        if head.bias is not None:
            logits += head.bias
        total += _to_slopes(logits, goal, scale)
        torch.mm(logits, weight, out=gradient)
        _add_head_gradients(head, logits, part)
    return total, gradients


def gradient_of(parameter: Tensor) -> Tensor:
    """The parameter's gradient to add to, zeros at first."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _add_head_gradients(head: nn.Linear, slopes: Tensor, hidden: Tensor) -> None:
    """slopes (C, V), hidden (C, D)"""
    weight = head.weight
    if weight.requires_grad and weight.grad is None:
        weight.grad = torch.mm(slopes.T, hidden).to(weight.dtype)
    elif weight.requires_grad and hidden.dtype == weight.dtype:
        gradient_of(weight).addmm_(slopes.T, hidden)
    elif weight.requires_grad:
        gradient_of(weight).add_(torch.mm(slopes.T, hidden))
    if head.bias is not None and head.bias.requires_grad:
        gradient_of(head.bias).add_(slopes.sum(0))


def _to_slopes(logits: Tensor, targets: Tensor, scale: float) -> Tensor:
    """Replace logits (C, V) by scale * (softmax - one-hot); returns the summed loss."""
    total = logits.new_zeros((), dtype=torch.float32)
    rows = max(1, CACHE_ELEMENTS // logits.shape[1]) if logits.is_cpu else len(logits)
    for part, goal in zip(logits.split(rows), targets.split(rows), strict=True):
        slopes = part.float()  # the same memory if it is float32 already
        slopes -= slopes.amax(-1, keepdim=True)
        picked = slopes.gather(1, goal[:, None])
        sums = slopes.exp_().sum(-1, keepdim=True)
        total += (sums.log() - picked).sum()
        slopes *= scale / sums
        slopes.scatter_add_(1, goal[:, None], slopes.new_full(picked.shape, -scale))
        part.copy_(slopes)
    return total
