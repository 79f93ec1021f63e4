"""Products and activations whose bits do not depend on the number of rows; weights of one byte."""

import warnings
from collections.abc import Callable

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

# 7 bits of weight: with 8, fbgemm's 16-bit sums of two products overflow on processors without
# VNNI. It costs models/base, fine-tuned on one voice, 0.07 % bits per character of held-out tweets.
WEIGHT_LEVELS = 63
INPUT_LEVELS = 127
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
    """x W^T + b with W in 7 bits, one scale for each output, and x in 8 bits, one for each row.

    Products are summed in integers, so a row's result does not depend on the other rows.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """`weight` is (M, K), `bias` (M,), both float32."""
        super().__init__()
        scale = weight.abs().amax(1).clamp_min(SMALLEST_SCALE) / WEIGHT_LEVELS
        whole = (weight / scale[:, None]).round_().to(torch.int8)
        with warnings.catch_warnings(action="ignore"):  # torch 2.13: to be removed some day
            quantized = torch._make_per_channel_quantized_tensor(
                whole, scale.double(), torch.zeros(len(scale), dtype=torch.int64), 0
            )
        self.packed = torch.ops.quantized.linear_prepack(quantized, None)
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., M), float32."""
        scale = x.abs().amax(-1, keepdim=True).clamp_min_(SMALLEST_SCALE)
        product: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            x / scale, 1 / INPUT_LEVELS, INPUT_LEVELS + 1, self.packed
        )
        if self.bias is None:
            return product.mul_(scale)
        return torch.addcmul(self.bias, product, scale)


def has_int8() -> bool:
    """Whether this torch multiplies bytes on this processor: fbgemm, which x86 alone has."""
    return torch.backends.quantized.engine in ("x86", "fbgemm")
