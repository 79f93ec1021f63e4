"""The container of llama.cpp's models: metadata and tensors in one file, nothing to execute.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The package gguf has a reader
too, but it makes an array of each of the vocabulary's strings: 4.6 s for smollm2, here 0.1 s.
"""

import math
import mmap
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

VERSIONS = (2, 3)
STRING, ARRAY = 8, 9
SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
DEFAULT_ALIGNMENT = 32


class StoredTensor(NamedTuple):
    """Where a tensor lies in the file, and in which of ggml's number formats."""

    shape: tuple[int, ...]  # as torch says it
    kind: int  # of gguf.GGMLQuantizationType
    offset: int  # bytes from the start of the tensors


class GgufFile:
    """An open file: its `metadata`, and its `tensors` by name, read when asked for.

    Raises:
        ValueError, struct.error: the file is damaged, or no GGUF file.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._at = 0
        magic, version, num_tensors, num_entries = self._next("4sIQQ")
        if magic != b"GGUF":
            raise ValueError("it does not begin as a GGUF file does")
        if version not in VERSIONS:
            raise ValueError(f"version {version} of the format is not known")
        self.metadata = {self._string(): self._value(*self._next("I")) for _ in range(num_entries)}
        self.tensors = {self._string(): self._stored_tensor() for _ in range(num_tensors)}
        alignment = self.metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        self._start = -(-self._at // alignment) * alignment

    def raw(self, name: str) -> np.ndarray:
        """A tensor's rows as bytes (..., bytes of a row), in its own number format."""
        from gguf import GGMLQuantizationType, quants

        shape, kind, offset = self.tensors[name]
        byte_shape = quants.quant_shape_to_byte_shape(shape, GGMLQuantizationType(kind))
        count = math.prod(byte_shape)
        data = np.frombuffer(self._data, np.uint8, count, self._start + offset)
        return data.reshape(byte_shape)

    def values(self, name: str) -> np.ndarray:
        """A tensor in float32; numbers of a few bits become what they stand for."""
        from gguf import GGMLQuantizationType, quants

        raw = self.raw(name)
        values = quants.dequantize(raw, GGMLQuantizationType(self.tensors[name].kind))
        return np.array(values) if np.shares_memory(values, raw) else values  # the file's is fixed

    def _next(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{layout}", self._data, self._at)
        self._at += struct.calcsize(f"<{layout}")
        return values

    def _string(self) -> str:
        start = self._at + 8
        self._at = start + int.from_bytes(self._data[self._at : start], "little")
        if self._at > len(self._data):
            raise ValueError("it ends too early")
        return self._data[start : self._at].decode("utf-8")

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._string()
        if kind in SCALARS:
            return self._next(SCALARS[kind])[0]
        if kind != ARRAY:
            raise ValueError(f"it has an entry of unknown type {kind}")
        kind, length = self._next("IQ")
        if kind in SCALARS:
            return list(self._next(f"{length}{SCALARS[kind]}"))
        return [self._value(kind) for _ in range(length)]

    def _stored_tensor(self) -> StoredTensor:
        (num_dimensions,) = self._next("I")
        *shape, kind, offset = self._next(f"{num_dimensions}QIQ")
        return StoredTensor(tuple(reversed(shape)), kind, offset)
