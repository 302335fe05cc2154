"""Streams that return few bytes, lack a method or fail."""

from __future__ import annotations

import io


class TricklingStream(io.BytesIO):
    """A stream that returns 1 to 3 bytes a call, so that characters and CRLF pairs are split."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._n_calls = 0

    def read1(self, size: int | None = -1, /) -> bytes:
        self._n_calls += 1
        return super().read1(1 + self._n_calls * 7 % 3)


class ReadOnlyStream:
    """A stream without `read1`."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)


class FailingStream(io.BytesIO):
    """A stream that returns its bytes and then fails like a broken disk."""

    def read1(self, size: int | None = -1, /) -> bytes:
        block = super().read1(size)
        if not block:
            raise OSError("Input/output error")
        return block
