"""Products and activations whose bits do not depend on the number of rows; weights of one byte."""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Linear = Callable[[Tensor], Tensor]  # (N, K) -> (N, M), float32

# Products take rows in blocks of 8. MKL sums the one to three rows that a block of four lacks in
# another order, and so a draft would depend on how many others are drawn with it. In multiples of
# 8 each row's bits are the same: tried with 1 to 16 threads, on AVX-512 and AVX2, with oneDNN too.
ROW_BLOCK = 8

# Threads share a tensor of more elements than this, and each computes what does not fill VECTOR
# elements with another exp: SiLU and sigmoid of the same number then differ.
THREAD_SHARE = 32_768
VECTOR = 32

# 8 bits of weight, or 7 where fbgemm sums two products in 16 bits: on processors without VNNI.
WEIGHT_LEVELS, FEWER_WEIGHT_LEVELS = 127, 63
INPUT_LEVELS = 127
# In a language model a few channels have numbers a hundred times as large as the others, which one
# scale for a row rounds to nothing. Hadamard's matrix spreads them over blocks of so many (Ashkboos
# et al., QuaRot, arXiv 2404.00456): SmolLM2-135M, fine-tuned on one voice, needs 0.2 % more bits
# per character of held-out tweets than in float32 (0.4 % with 7 bits), without a rotation 1.4 %
# more, and half of its hashtags at the start were gone. A sum of 16 has the same bits in any number
# of rows (tried with 1 to 4 threads, on AVX-512 and AVX2).
MOST_ROTATED = 16
SMALLEST_SCALE = 1e-30  # keeps a row of zeros from being divided by zero


def activate(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`function` of each element of (N, M); a row's bits do not depend on the other rows."""
    width = x.shape[1]
    if width % VECTOR:
        x = F.pad(x, (0, -width % VECTOR))
    parts = [function(part) for part in x.split(max(1, THREAD_SHARE // x.shape[1]))]
    return (parts[0] if len(parts) == 1 else torch.cat(parts))[:, :width]


class FullLinear(torch.nn.Module):
    """x W^T + b, computed in the number format of the weight."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """`weight` is (M, K), `bias` (M,), of one number format."""
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, x: Tensor) -> Tensor:
        """(N, K) -> (N, M), float32; a row's bits do not depend on the other rows."""
        num_rows = len(x)
        if num_rows % ROW_BLOCK:
            x = F.pad(x, (0, 0, 0, -num_rows % ROW_BLOCK))
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)[:num_rows].float()


class Int8Linear(torch.nn.Module):
    """x W^T + b with W in 8 bits or 7, a scale for each output, and x in 8 bits, one for each row.

    Both are rotated alike, which does not change their product. Products are summed in integers, so
    a row's result does not depend on the other rows.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """`weight` is (M, K), `bias` (M,), both float32."""
        super().__init__()
        self.rotation = _hadamard(min(MOST_ROTATED, weight.shape[1] & -weight.shape[1]))
        self.packed = _packed(self._rotated(weight), most_weight_levels())
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., M), float32."""
        x = self._rotated(x)
        scale = x.abs().amax(-1, keepdim=True).clamp_min_(SMALLEST_SCALE)
        product = _product(x / scale, self.packed)
        if self.bias is None:
            return product.mul_(scale)
        return torch.addcmul(self.bias, product, scale)

    def _rotated(self, x: Tensor) -> Tensor:
        return (x.reshape(-1, len(self.rotation)) @ self.rotation).view(x.shape)


def _hadamard(size: int) -> Tensor:
    """The orthogonal matrix of plus and minus one over the root of `size`, a power of two."""
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), matrix)
    return matrix / math.sqrt(size)


def _packed(weight: Tensor, levels: int) -> Any:
    """(M, K) as fbgemm takes it, in whole numbers up to `levels`, with a scale for each row."""
    scale = weight.abs().amax(1).clamp_min(SMALLEST_SCALE) / levels
    whole = (weight / scale[:, None]).round_().to(torch.int8)
    with warnings.catch_warnings(action="ignore"):  # torch 2.13: to be removed some day
        quantized = torch._make_per_channel_quantized_tensor(
            whole, scale.double(), torch.zeros(len(scale), dtype=torch.int64), 0
        )
    return torch.ops.quantized.linear_prepack(quantized, None)


def _product(x: Tensor, packed: Any) -> Tensor:
    """(..., K) from -1 to 1 -> (..., M), float32."""
    product: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
        x, 1 / INPUT_LEVELS, INPUT_LEVELS + 1, packed
    )
    return product


@functools.cache
def most_weight_levels() -> int:
    """As many as this processor's sums of products do not overflow with: tried, not asked for."""
    ones = torch.ones(1, 256)
    is_right = _product(ones, _packed(ones, WEIGHT_LEVELS)).isclose(ones.sum())
    return WEIGHT_LEVELS if is_right else FEWER_WEIGHT_LEVELS


def has_int8() -> bool:
    """Whether this torch multiplies bytes on this processor: fbgemm, which x86 alone has."""
    return torch.backends.quantized.engine in ("x86", "fbgemm")
