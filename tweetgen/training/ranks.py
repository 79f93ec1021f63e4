"""The processes that train together: one by itself, or the ranks that torchrun started."""

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed
from torch import Tensor

from tweetgen.errors import TweetgenError, first_line


@dataclasses.dataclass(frozen=True)
class Ranks:
    """This process among `size`; one process alone waits for nobody."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process prints and saves."""
        return self.rank == 0

    def sum(self, *tensors: Tensor) -> None:
        """Replace tensors by their sums over all ranks, the same bits on each.

        A rank that fails has said why; the others, whose connection breaks, end silently.
        """
        if self.size == 1:
            return
        try:
            works = [torch.distributed.all_reduce(tensor, async_op=True) for tensor in tensors]
            for work in works:
                work.wait()
        except RuntimeError as error:
            raise SystemExit(1) from error

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block that every rank runs; where some fail all end, and the first of those says why.

        Raises:
            TweetgenError: the block raised one here.
        """
        failure: TweetgenError | None = None
        try:
            yield
        except TweetgenError as error:
            failure = error
        failed = torch.zeros(self.size)
        failed[self.rank] = failure is not None
        self.sum(failed)
        if failure is not None and not failed[: self.rank].any():
            raise failure
        if failed.any():
            raise SystemExit(1)

    def shared(self, error: TweetgenError) -> BaseException:
        """What to raise for an error that all ranks meet at once: the first alone tells it."""
        return error if self.is_first else SystemExit(1)

    def any(self, wish: bool) -> bool:
        """Whether at least one rank says so: all ranks take the same way."""
        votes = torch.tensor(float(wish))
        self.sum(votes)
        return bool(votes)

    def from_first(self, value: float) -> float:
        """Rank 0's value, on every rank."""
        tensor = torch.tensor(value if self.is_first else 0.0, dtype=torch.float64)
        self.sum(tensor)
        return float(tensor)


@contextmanager
def ranks() -> Iterator[Ranks]:
    """The ranks that torchrun describes in the environment, else one.

    They are connected by gloo for tensors on processors, and by NCCL for those on GPUs.

    Raises:
        TweetgenError: the environment describes ranks, but not wholly.
    """
    if os.environ.get("WORLD_SIZE", "") in ("", "1"):
        yield Ranks()
        return
    try:
        torch.distributed.init_process_group()
    except ValueError as error:
        raise TweetgenError(
            f"WORLD_SIZE is set, but {first_line(error)} Start with torchrun, or unset WORLD_SIZE."
        ) from error
    try:
        yield Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()
