"""A reference for all computations over tag paths: it enumerates every path."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from tagger.corpus.transitions import ILLEGAL, Transitions, constraints_of, learned_within

# Small sets of tags by scheme, not all of which a sentence can begin or end with.
TAGS = {
    "IOB1": ["O", "B-a", "I-a", "I-b"],
    "IOB2": ["O", "B-a", "B-b", "I-a", "I-b"],
    "IOBES": ["O", "B-a", "E-a", "I-a", "S-a", "S-b"],
    "BILOU": ["O", "B-a", "I-a", "L-a", "U-b"],
    "IO": ["O", "I-a", "I-b"],
}


@dataclass(frozen=True)
class AllPaths:
    """All paths of one sentence, ordered by tag ids: tags [P, n] and scores [P]; illegal paths may score -inf."""

    tags: np.ndarray
    scores: np.ndarray
    n_tags: int

    @property
    def log_z(self) -> float:
        best = self.scores.max()
        return float(best + np.log(np.exp(self.scores - best).sum()))

    @property
    def probabilities(self) -> np.ndarray:
        return np.exp(self.scores - self.log_z)

    @property
    def marginals(self) -> np.ndarray:
        """The probability of each tag at each token, [n, K]."""
        chosen = self.tags[..., None] == np.arange(self.n_tags)
        return np.einsum("p,ptk->tk", self.probabilities, chosen)

    @property
    def moves(self) -> np.ndarray:
        """The expected number of transitions from each tag to each tag, [K, K]."""
        chosen = (self.tags[..., None] == np.arange(self.n_tags)).astype(float)
        return np.einsum("p,pti,ptj->ij", self.probabilities, chosen[:, :-1], chosen[:, 1:])

    @property
    def best(self) -> list[int]:
        return self.tags[self.scores.argmax()].tolist()


def all_paths(logits: np.ndarray, transitions: Transitions, *, strict: bool = True) -> AllPaths:
    """Return all paths of a sentence with logits [n, K].

    Args:
        strict: whether the score of an illegal path is -inf; otherwise it is a sum that includes the penalties.
    """
    n, n_tags = logits.shape
    paths = np.array(list(itertools.product(range(n_tags), repeat=n)))
    parts = [logits[np.arange(n), paths], transitions.transition[paths[:, :-1], paths[:, 1:]]]
    parts += [transitions.start[paths[:, :1]], transitions.end[paths[:, -1:]]]
    values = np.concatenate([part.astype(np.float64) for part in parts], axis=1)
    scores = values.sum(axis=1)
    if strict:
        scores[values.min(axis=1) <= ILLEGAL / 2] = -np.inf
    return AllPaths(paths, scores, n_tags)


def learned(tags: list[str], scheme: str, seed: int, scale: float = 2.0) -> Transitions:
    """Return transitions with random weights; illegal transitions get weights too, which must be ignored."""
    rng = np.random.default_rng(seed)
    shapes = (len(tags), len(tags)), len(tags), len(tags)
    return learned_within(constraints_of(tags, scheme), *(rng.normal(size=shape) * scale for shape in shapes))
