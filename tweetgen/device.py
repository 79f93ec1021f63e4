"""The machine a model runs on: device, number format, threads, and what to say when it is full.

torch is imported inside the functions: `limit_spinning` must run before torch is loaded.
"""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tweetgen.errors import TweetgenError

if TYPE_CHECKING:
    import torch

# A thread of GNU OpenMP that has nothing to do looks this many times (about 20 ns each, so 40 µs)
# whether the others have finished, then sleeps. With its default, 300,000, training is ten times
# slower beside another busy process; without any spinning GPT-2 draws 16 rows at half the speed on
# a quiet machine (2 cores, AVX2). Other OpenMP libraries do not read it.
SPIN_COUNT = "2000"
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # M_... of glibc's malloc.h
# How torch says that memory is full where it has no exception of its own for it.
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "storage size calculation overflowed",  # more bytes than 64 bits count
)


def limit_spinning() -> None:
    """Let idle OpenMP threads spin only briefly, unless the environment says how they wait.

    Call it before torch is imported: OpenMP reads the environment once, when it is loaded.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def choose_device(name: str) -> "torch.device":
    """The device for "cuda", "mps", "cpu", or for "auto" the first of these that is there.

    Of several GPUs, each process that torchrun started takes the one of its number.

    Raises:
        TweetgenError: the named device is missing, or there are more processes than GPUs.
    """
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, is_there in available.items() if is_there)
    if not available[name]:
        raise TweetgenError(f"no {name.upper()} device; use --device cpu.")
    if name != "cuda":
        return torch.device(name)
    number, num_gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= num_gpus:
        raise TweetgenError(
            f"this machine has {num_gpus} GPU(s); use torchrun --nproc_per_node {num_gpus}."
        )
    return torch.device("cuda", number)


def choose_precision(name: str, device: "torch.device") -> "torch.dtype":
    """torch.float32 or torch.bfloat16; "auto" takes bfloat16 where the hardware multiplies in it.

    Where it does not, bfloat16 is emulated: 13 times slower than float32 on a processor with AVX2.
    """
    import torch

    if name != "auto":
        return torch.bfloat16 if name == "bf16" else torch.float32
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        features = torch.cpu.get_capabilities()
        has_bfloat16 = any(features.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    else:
        has_bfloat16 = False
    return torch.bfloat16 if has_bfloat16 else torch.float32


def keep_freed_memory() -> None:
    """Let this process keep large blocks it frees, where the C library is glibc.

    By default blocks above 32 MB go back to the kernel and come again page by page: a tenth of the
    time of a training step of GPT-2 on a processor.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, 1 << 30)
        library.mallopt(TRIM_THRESHOLD, -1)  # never


def return_freed_memory() -> None:
    """Give the blocks that were kept back to the kernel, those between others too.

    Batches of many sizes leave holes that the next ones do not fit.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def memory_errors(what_for: str) -> Iterator[None]:
    """Say in one line what memory was short for, and what to do: "to load a.pt. Free some".

    Raises:
        TweetgenError: the block ran out of memory on the device or the machine.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch.OutOfMemoryError is a RuntimeError that says "out of memory".
        is_memory = isinstance(error, MemoryError) or any(
            sign in str(error).lower() for sign in OUT_OF_MEMORY
        )
        if not is_memory:
            raise
        raise TweetgenError(f"not enough memory {what_for}.") from error
