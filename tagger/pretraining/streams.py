"""The windows of a text that is read as many parallel streams, from both ends.

With streams of length L = 6 and windows of T = 2 steps, the forward branch reads a stream as `a b`, `c d` and predicts
`b c`, `d e`; the backward branch begins at the other end, reads `e d`, `c b` and predicts `d c`, `b a`. Each window of
a branch follows the one before it, so the branch's state can be carried over.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tagger.inputs.vocabulary import Ids

Numbers = npt.NDArray[np.uint32]


class Window(NamedTuple):
    """One window of all streams: the numbers [T + 1, B] that each branch reads, the last of which it only predicts."""

    forward: Ids
    backward: Ids


@dataclasses.dataclass(frozen=True)
class Streams:
    """A text as B streams that are read in windows of T steps.

    Attributes:
        text: [N], the numbers of the tokens, which may be a mapped file.
        n_streams: B.
        n_steps: T.
        seed: decides where the streams of an epoch begin.

    Raises:
        ValueError: the text is too short for one window.
    """

    text: Numbers
    n_streams: int
    n_steps: int
    seed: int

    def __post_init__(self) -> None:
        if not self.n_windows:
            raise ValueError(
                f"found {len(self.text)} tokens, expected at least {self.n_streams * (self.n_steps + 1)}:"
                f" {self.n_streams} streams of {self.n_steps + 1}"
            )

    @property
    def n_windows(self) -> int:
        """The number of windows of each epoch."""
        return max(0, len(self.text) // self.n_streams - 1) // self.n_steps

    @property
    def n_tokens(self) -> int:
        """The number of tokens that each branch reads in a window of all streams."""
        return self.n_streams * self.n_steps

    def window(self, epoch: int, step: int) -> Window:
        """Return the window of a step of an epoch, both from 0.

        Each epoch begins elsewhere in the text, whose end is followed by its beginning.
        """
        length = len(self.text) // self.n_streams
        shift = int(np.random.default_rng([self.seed, epoch]).integers(length)) if epoch else 0
        begins = shift + length * np.arange(self.n_streams)
        steps = np.arange(self.n_steps + 1)[:, None]

        def read(first: int) -> Ids:
            numbers: Ids = self.text[(begins + first + steps) % len(self.text)].astype(np.int32)
            return numbers

        last = self.n_windows - 1 - step
        return Window(read(step * self.n_steps), read(last * self.n_steps)[::-1])
