"""Run `tagger train` with stochastic weight averaging for ingredients.py.

From a step on, the weights that are scored and saved are the mean of those after each step (Izmailov et al. 2018),
where those before it count as one. Until then, they are the usual moving average.
"""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf

from tagger.cli import commands
from tagger.network import optimizers, trainer

FIRST = 700  # steps of the usual average: 11 to 14 epochs of the corpora of ingredients.py


class FlatAverage(optimizers.MovingAverage):
    """The usual moving average of the first steps, and the mean of what follows."""

    def _log_product(self, t: Any, library: Any) -> Any:
        """Return log(d_1 · … · d_t), where d_t = n / (n + 1) at the n-th step after the first ones."""
        usual = super()._log_product(library.minimum(t, FIRST), library)
        after = library.maximum(t - FIRST, 0) + 1
        if library is tf:
            return usual - tf.math.log(tf.cast(after, tf.float64))
        return usual - library.log(after)


if __name__ == "__main__":
    trainer.MovingAverage = FlatAverage  # type: ignore[misc]
    sys.exit(commands.run(["train", *sys.argv[1:]]))
