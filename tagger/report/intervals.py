"""95 % intervals of F1 by the bootstrap over sentences (Efron 1979; percentiles), for many entity types at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tagger.evaluation.significance import Counts, f1_of

SAMPLES, SEED = 1000, 1
_DRAWN_AT_ONCE = 1 << 22


def f1_intervals(
    counts: Counts, n_sentences: int, *, samples: int = SAMPLES, seed: int = SEED
) -> npt.NDArray[np.float64]:
    """Return the lower and upper end of the interval of each type, [K, 2].

    Args:
        counts: [S, K, 3], the numbers of right, predicted and gold spans of K types in S sentences. Sentences without
            spans may be left out.
        n_sentences: the number of all sentences, at least S.
        samples: the number of samples.
        seed: the seed of the samples.
    """
    n_rows, n_types, _ = counts.shape
    flat = counts.reshape(n_rows, 3 * n_types).astype(np.float64)  # products of whole numbers are slow
    # Instead of the sentences themselves, draw how often each of them is in a sample; the last number is the rest.
    shares = np.append(np.full(n_rows, 1 / max(n_sentences, 1)), 0.0)
    shares[-1] = max(0.0, 1 - shares.sum())
    rng, sums = np.random.default_rng(seed), list[Counts]()
    n_at_once = max(1, _DRAWN_AT_ONCE // (n_rows + 1))
    for start in range(0, samples, n_at_once):
        times = rng.multinomial(n_sentences, shares, size=min(n_at_once, samples - start))
        sums.append((times[:, :-1] @ flat).astype(np.int64))
    scores = f1_of(np.concatenate(sums).reshape(samples, n_types, 3))
    ends: npt.NDArray[np.float64] = np.quantile(scores, [0.025, 0.975], axis=0).T
    return ends
