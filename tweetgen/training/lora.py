"""LoRA: a large model is adapted by small matrices beside its own, which stay as they are.

A linear layer W x becomes W x + SCALE * up (down x), with a `down` and an `up` of low rank (Hu et
al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021). Frozen weights need no gradient,
no Adam state and no average. In the end the product is added to W: nothing that uses the model
knows of it.

Shapes: N tokens, K inputs, M outputs, R rank.
"""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tweetgen.errors import TweetgenError

SCALE = 2.0  # alpha / rank, the usual alpha being twice the rank


class AdaptedLinear(nn.Module):
    """A frozen linear layer, kept in `dtype`, and its adapter, kept in float32.

    Under autocast all products are computed in its number format, otherwise in float32.
    """

    def __init__(
        self, layer: Any, rank: int, dtype: torch.dtype, generator: torch.Generator
    ) -> None:
        """The layer computes the same as before: `up` is zero at first."""
        super().__init__()
        self.is_transposed = not isinstance(layer, nn.Linear)  # GPT-2 keeps W as (K, M)
        self.weight = nn.Parameter(layer.weight.detach().to(dtype), requires_grad=False)
        self.bias = layer.bias if layer.bias is None else layer.bias.requires_grad_(False)
        num_outputs, num_inputs = self._matrix.shape
        bound = 1 / math.sqrt(num_inputs)  # as nn.Linear begins
        down = torch.empty(rank, num_inputs).uniform_(-bound, bound, generator=generator)
        self.lora_down = nn.Parameter(down)  # (R, K)
        self.lora_up = nn.Parameter(torch.zeros(num_outputs, rank))  # (M, R)

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., M)"""
        kind = x.device.type
        is_low = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if is_low else torch.float32
        rows = x.flatten(0, -2).to(dtype)
        down, up = self.lora_down.to(dtype), self.lora_up.to(dtype)
        output: Tensor = AdaptedProduct.apply(rows, down, up, self._matrix.to(dtype), self.bias)  # type: ignore[no-untyped-call]
        return output.view(*x.shape[:-1], -1)

    @torch.no_grad()
    def merged(self) -> Tensor:
        """The weight with the adapter added, float32, in the layer's own layout."""
        change = SCALE * (self.lora_up @ self.lora_down)
        return self.weight.float() + (change.T if self.is_transposed else change)

    @property
    def _matrix(self) -> Tensor:
        return self.weight.T if self.is_transposed else self.weight


class AdaptedProduct(torch.autograd.Function):
    """rows W^T + bias + SCALE * (rows down^T) up^T, without a gradient of W.

    One step of autograd in place of four, and nothing of W is kept for the way back.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, down: Tensor, up: Tensor, weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        low = torch.mm(rows, down.T)  # (N, R)
        output = nn.functional.linear(rows, weight, None if bias is None else bias.to(rows.dtype))
        ctx.save_for_backward(rows, low, down, up)
        ctx.weight = weight
        return output.addmm_(low, up.T, alpha=SCALE)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = gradients  # (N, M)
        rows, low, down, up = ctx.saved_tensors
        low_slope = torch.mm(slope, up).mul_(SCALE)  # (N, R)
        rows_slope = None
        if ctx.needs_input_grad[0]:
            rows_slope = torch.mm(slope, ctx.weight).addmm_(low_slope, down)
        up_slope = torch.mm(slope.T, low).mul_(SCALE)
        return rows_slope, torch.mm(low_slope.T, rows), up_slope, None, None


def add_adapters(model: Any, rank: int, seed: int, dtype: torch.dtype) -> None:
    """Freeze a transformers model and put adapters of this rank into the layers of its base.

    The weights of these layers are kept in `dtype`, everything else in float32.

    Raises:
        TweetgenError: it has no layer that could have one.
    """
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    adapted: dict[Any, AdaptedLinear] = {}
    for parent in list(model.base_model.modules()):
        for name, layer in parent.named_children():
            if _is_linear(layer):
                if layer not in adapted:
                    adapted[layer] = AdaptedLinear(layer, rank, dtype, generator)
                setattr(parent, name, adapted[layer])
    if not adapted:
        raise TweetgenError("this model has no linear layers to adapt. Add --lora_rank 0.")
    kept = {id(layer.weight) for layer in adapted.values()}
    for parameter in model.parameters():
        if id(parameter) not in kept:
            parameter.data = parameter.data.float()


def adapters_of(model: Any) -> dict[str, Tensor]:
    """The adapters by name, `model.layers.0.mlp.up_proj.lora_down`, on the CPU; {} if none."""
    return {
        name: parameter.detach().cpu()
        for name, parameter in model.named_parameters()
        if name.rpartition(".")[2] in ("lora_down", "lora_up")
    }


def final_weights(model: Any, dtype: torch.dtype) -> dict[str, Tensor]:
    """The state_dict as without adapters, these added to the weights they belong to.

    On the CPU in `dtype`, each tied tensor once; tensors that are so already are shared.
    """
    layers = {n: m for n, m in model.named_modules() if isinstance(m, AdaptedLinear)}
    weights, seen = {}, set()
    for name, tensor in model.state_dict().items():
        path, _, last = name.rpartition(".")
        place = (tensor.device, tensor.untyped_storage().data_ptr(), tensor.storage_offset())
        if place in seen or (path in layers and last in ("lora_down", "lora_up")):
            continue
        seen.add(place)
        is_merged = path in layers and last == "weight"
        final = layers[path].merged() if is_merged else tensor.detach()
        weights[name] = final.to("cpu", dtype) if final.is_floating_point() else final.cpu()
    return weights


@contextmanager
def rounded(model: Any, dtype: torch.dtype) -> Iterator[None]:
    """Inside the block the model computes with `final_weights` of this format."""
    before = {parameter: parameter.data for parameter in model.parameters()}
    try:
        merged = set()
        for layer in model.modules():
            if isinstance(layer, AdaptedLinear):
                layer.weight.data = layer.merged().to(dtype)
                layer.lora_up.data = torch.zeros_like(layer.lora_up)
                merged |= {layer.weight, layer.lora_up}
        for parameter in before.keys() - merged:
            parameter.data = parameter.data.to(dtype).to(parameter.dtype)
        yield
    finally:
        for parameter, value in before.items():
            parameter.data = value


def frozen_fingerprint(model: Any) -> str:
    """A hash of the weights that are not trained, which no saved state holds; "" if all are."""
    digest = hashlib.blake2b(digest_size=8)
    frozen = [weight for weight in model.parameters() if not weight.requires_grad]
    for weight in frozen:
        whole = weight.detach().cpu().contiguous()
        digest.update(whole.flatten().view(torch.uint8).numpy())
    return digest.hexdigest() if frozen else ""


def _is_linear(module: nn.Module) -> bool:
    """Whether it is a linear layer, of torch or of transformers' GPT-2."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, nn.Linear | Conv1D)
