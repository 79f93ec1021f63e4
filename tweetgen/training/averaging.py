"""An exponential moving average of the weights: what is validated, sampled from and saved.

The last steps' weights lie around a better point than any of them: averaging finds it without
waiting for the learning rate to fall (Izmailov et al., "Averaging Weights Leads to Wider Optima and
Better Generalization", 2018).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class WeightAverage:
    """The average of some parameters over the steps of a training."""

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        """Start from the parameters as they are; a decay of 0 keeps no average."""
        self._parameters, self._decay = parameters, decay
        self.values = {name: p.detach().clone() for name, p in parameters.items() if decay}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after step number `step`, from 1."""
        if self.values:
            # Over the last third of the steps so far, until that is more than 1 / (1 - decay).
            decay = min(self._decay, step / (step + 3))
            parameters = [parameter.detach() for parameter in self._parameters.values()]
            torch._foreach_lerp_(list(self.values.values()), parameters, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the block the parameters have their averages as values."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def restore(self, values: Mapping[str, Tensor]) -> None:
        """Go on from the `values` of an earlier run."""
        for name, value in values.items():
            self.values[name].copy_(value)

    def _swap(self) -> None:
        for name, value in self.values.items():
            parameter = self._parameters[name]
            self.values[name], parameter.data = parameter.data, value
