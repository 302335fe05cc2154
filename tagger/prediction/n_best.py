"""The likeliest tag sequences of a sentence, one after the other.

Every path but the best one is a branch of a better one: after some step the two are equal, at this step they have
different tags, and before it the branch is as good as it can be. So all paths are found in order by taking the best
branch of those that were found before (Lawler 1972).
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from tagger.corpus.transitions import ILLEGAL, Transitions
from tagger.prediction.decoding import Logits

_Doubles = npt.NDArray[np.float64]
_Path = npt.NDArray[np.intp]
_MOST_PATHS = 50  # for each wanted sequence; where more paths than these become too few sequences, there are fewer


@dataclasses.dataclass(frozen=True, slots=True)
class Alternative:
    """One of the likeliest sequences of tags of a sentence, with its probability."""

    tags: list[str]
    probability: float


def likeliest(
    logits: Logits, transitions: Transitions, n: int, written: Callable[[_Path], list[str]]
) -> list[tuple[list[str], float]]:
    """Return the first n different sequences of tags that the best paths become, each with the sum of its best path.

    Args:
        logits: [T, K], with T at least 1.
        transitions: the weights that are added for consecutive tags.
        n: the number of sequences, from 1.
        written: returns the tags of a path.
    """
    found: dict[tuple[str, ...], float] = {}
    for path, total in itertools.islice(best_paths(logits, transitions), _MOST_PATHS * n):
        found.setdefault(tuple(written(path)), total)
        if len(found) == n:
            break
    return [(list(tags), total) for tags, total in found.items()]


class _Branches:
    """The branches of a path that have not been taken.

    Args:
        path: [T].
        sums_at: returns the sum of the best branch with each tag at a step, [K]; -inf for the tag of the path itself.
        most: [N], the largest of these sums at each of the first N steps.
    """

    def __init__(self, path: _Path, sums_at: Callable[[int], _Doubles], most: _Doubles) -> None:
        self._path, self._sums_at, self._most = path, sums_at, most
        self._taken: dict[int, list[int]] = {}

    @property
    def most(self) -> float:
        """The largest sum, or -inf if there are no branches."""
        return float(self._most.max(initial=-np.inf))

    def take(self, before: npt.NDArray[np.intp]) -> tuple[_Path, int]:
        """Return the best branch, and the step at which it has another tag.

        Args:
            before: [T, K], the tag before each tag at each step, on the best path to it.
        """
        step = int(self._most.argmax())
        sums, taken = self._sums_at(step), self._taken.setdefault(step, [])
        sums[taken] = -np.inf
        tag = int(sums.argmax())
        taken.append(tag)
        sums[tag] = -np.inf
        self._most[step] = sums.max()
        path = self._path.copy()
        for t in range(step, -1, -1):
            path[t] = tag
            tag = before[t, tag]
        return path, step


def best_paths(logits: Logits, transitions: Transitions) -> Iterator[tuple[_Path, float]]:
    """Yield all legal paths of a sentence, the best first, each with the sum of its logits and weights.

    If there is no legal path, the paths with the fewest illegal transitions are yielded. The first path is that of
    `decoding.viterbi`.

    Args:
        logits: [T, K], with T at least 1.
        transitions: the weights that are added for consecutive tags.
    """
    steps = np.arange(len(logits))
    into = np.ascontiguousarray(transitions.transition.T)  # [to, from]
    sums = logits.astype(np.float64)  # of the best path to each tag at each step
    sums[0] += transitions.start
    before = np.zeros(logits.shape, np.intp)
    for t in steps[1:]:
        moved = sums[t - 1] + into
        before[t] = moved.argmax(axis=1)
        sums[t] += moved.max(axis=1)

    def branches(path: _Path, n: int) -> _Branches:
        """Return the branches at the first n steps of a path."""
        after = logits[steps, path].astype(np.float64)
        after[:-1] += transitions.transition[path[:-1], path[1:]]
        after[-1] += transitions.end[path[-1]]
        after = after[::-1].cumsum()[::-1]  # the sum from each step on

        def sums_at(step: int) -> _Doubles:
            found: _Doubles = sums[step] + into[path[step + 1]] + after[step + 1]
            found[path[step]] = -np.inf
            return found

        rows = sums[:n] + into[path[1 : n + 1]] + after[1 : n + 1, None]
        rows[steps[:n], path[:n]] = -np.inf
        return _Branches(path, sums_at, rows.max(axis=1))

    # The best path is a branch too, at the last step, of nothing.
    ends = sums[-1] + transitions.end
    found = [
        _Branches(
            np.empty(len(logits), np.intp), lambda _: ends.copy(), np.where(steps == steps[-1], ends.max(), -np.inf)
        )
    ]
    waiting = [(-found[0].most, 0)]
    least = found[0].most + ILLEGAL / 2
    while -waiting[0][0] > least:
        total, place = -waiting[0][0], waiting[0][1]
        path, step = found[place].take(before)
        heapq.heapreplace(waiting, (-found[place].most, place))
        yield path, total
        found.append(branches(path, step))
        heapq.heappush(waiting, (-found[-1].most, len(found) - 1))
