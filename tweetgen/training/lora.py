"""LoRA: a large model is adapted by small matrices beside its own, which stay as they are.

A linear layer W x becomes W x + SCALE * up (down x), with a `down` and an `up` of low rank (Hu et
al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021). No gradients of W are computed,
and none of what Adam and the average keep of each trained weight is kept of them. In the end the
product is added to W: nothing that uses the model knows of it.
"""

import hashlib
import math
from typing import Any

import torch
from torch import Tensor, nn

from tweetgen.errors import TweetgenError
from tweetgen.models import weights_of

SCALE = 2.0  # alpha / rank, the usual alpha being twice the rank


def add_lora(model: Any, rank: int, seed: int) -> None:
    """Freeze a transformers model and put adapters of this rank into the layers of its base.

    The model computes the same as before: `up` is zero at first.

    Raises:
        TweetgenError: it has no layer that could have one.
    """
    layers = _linear_layers(model.base_model)
    if not layers:
        raise TweetgenError("this model has no linear layers to adapt. Add --lora_rank 0.")
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for module in layers:
        num_outputs, num_inputs = _shape(module)
        bound = 1 / math.sqrt(num_inputs)  # as nn.Linear begins
        down = torch.empty(rank, num_inputs).uniform_(-bound, bound, generator=generator)
        module.lora_down = nn.Parameter(down)
        module.lora_up = nn.Parameter(torch.zeros(num_outputs, rank))
        module.register_forward_hook(_add_adapter)


def merged_weights(model: Any) -> dict[str, Tensor]:
    """What `weights_of` gives, with the adapters, if there are any, added to the weights."""
    weights = weights_of(model)
    for name, module in model.named_modules():
        if not hasattr(module, "lora_up"):
            continue
        down, up = weights.pop(f"{name}.lora_down"), weights.pop(f"{name}.lora_up")
        change = SCALE * (up @ down)
        own = weights[f"{name}.weight"]
        weights[f"{name}.weight"] = own + (change if _is_linear(module) else change.T)
    return weights


def frozen_fingerprint(model: Any) -> str:
    """A hash of the weights that are not trained, which no saved state holds; "" if all are."""
    digest = hashlib.blake2b(digest_size=8)
    frozen = [weight for weight in model.parameters() if not weight.requires_grad]
    for weight in frozen:
        digest.update(weight.detach().cpu().contiguous().numpy())
    return digest.hexdigest() if frozen else ""


def _add_adapter(module: Any, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """A forward hook: the layer's output (..., O) with that of its adapter."""
    low = nn.functional.linear(inputs[0].flatten(0, -2), module.lora_down)
    return torch.addmm(output.flatten(0, -2), low, module.lora_up.T, alpha=SCALE).view_as(output)


def _linear_layers(model: Any) -> list[Any]:
    return [module for module in model.modules() if _is_linear(module) or _is_transposed(module)]


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


def _is_transposed(module: nn.Module) -> bool:
    """Whether it is GPT-2's kind of linear layer, which keeps its weight the other way round."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Conv1D)


def _shape(module: Any) -> tuple[int, int]:
    """Outputs and inputs."""
    first, second = module.weight.shape
    return (first, second) if _is_linear(module) else (second, first)
