"""Run `tagger train` with dropout that depends on the length of a sentence, for ingredients.py.

    python scripts/results/train_bucketed.py SHORT LONG config.yaml …

The rates of the inputs and of the blocks are multiplied by SHORT in sentences of at most 10 tokens, and by LONG in
those of more than 25.
"""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf

from tagger.cli import commands
from tagger.network import model

SHORTEST, LONGEST = 10, 25


def factors(lengths: Any, *, short: float, long: float) -> Any:
    """Return what the rates of each sentence are multiplied by: [B] → [B, 1]."""
    usual = tf.where(lengths > LONGEST, long, 1.0)
    return tf.where(lengths <= SHORTEST, short, usual)[:, None]


class BucketedTagger(model.TwoBranchTagger):
    """A network whose dropout rates depend on the length of the sentence."""

    short, long = 1.0, 1.0

    def call(self, rows: Any, batch: model.BatchTensors, *, training: bool = False) -> Any:
        self._factors = factors(batch.lengths, short=self.short, long=self.long)
        return super().call(rows, batch, training=training)

    def _mask(self, shape: Any, rate: float, seed: Any, place: int) -> Any:
        if seed is None or not rate or place == model._TOKEN_PLACE:  # a token may be in sentences of any length
            return super()._mask(shape, rate, seed, place)
        return model.dropout_mask(shape, rate * self._factors, seed + tf.constant([0, place], tf.int32))


if __name__ == "__main__":
    BucketedTagger.short, BucketedTagger.long = map(float, sys.argv[1:3])
    model.TwoBranchTagger = BucketedTagger  # type: ignore[misc]
    sys.exit(commands.run(["train", *sys.argv[3:]]))
