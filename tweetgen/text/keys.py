"""Stand-in until `copies` has both."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tweetgen.cleaning import canonical_key

__all__ = ["canonical_key", "hash_keys"]


def hash_keys(keys: Sequence[str]) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each key; uint64 (tweets,)."""
    digests = (hashlib.blake2b(k.encode("utf-8", "surrogatepass"), digest_size=8) for k in keys)
    return np.frombuffer(b"".join(digest.digest() for digest in digests), dtype="<u8")
