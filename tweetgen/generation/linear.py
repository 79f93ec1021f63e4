"""A model's matrix products, in full precision or with weights of one byte."""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

# Below this, F.linear sums a row's products in another order than in a large batch, and the same
# draft could come out differently; from here on each row is alike (seen with MKL and oneDNN, AVX2).
FEWEST_ROWS = 8

# 7 bits of weight: with 8, fbgemm's 16-bit sums of two products overflow on processors without
# VNNI. It costs models/base, fine-tuned on one voice, 0.07 % bits per character of held-out tweets.
WEIGHT_LEVELS = 63
INPUT_LEVELS = 127
SMALLEST_SCALE = 1e-30  # keeps a row of zeros from being divided by zero


class FullLinear(torch.nn.Module):
    """x W^T + b, computed in the number format of the weight."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """`weight` is (M, K), `bias` (M,), of one number format."""
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, x: Tensor) -> Tensor:
        """(N, K) -> (N, M), float32."""
        num_rows = len(x)
        if num_rows < FEWEST_ROWS:
            x = F.pad(x, (0, 0, 0, FEWEST_ROWS - num_rows))
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)[:num_rows].float()


class Int8Linear(torch.nn.Module):
    """x W^T + b with W in 7 bits, one scale for each output, and x in 8 bits, one for each row.

    Products are summed in integers, so a row's result does not depend on the other rows.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """`weight` is (M, K), `bias` (M,), both float32."""
        super().__init__()
        scale = weight.abs().amax(1).clamp_min(SMALLEST_SCALE) / WEIGHT_LEVELS
        whole = (weight / scale[:, None]).round().to(torch.int8)
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
