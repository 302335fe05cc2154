"""Choice of the sentences that teach a model most when they are labelled next.

A sentence is worth the errors that the model is expected to make in it, for each token that has to be labelled:

- **Uncertainty.** The expected number of errors is the sum of the doubts at its tokens: one minus the probability of
  each predicted span, shared by the tokens of the span, and one minus the probability of `O` at every other token,
  where a span may have been missed. Total token entropy (Settles and Craven 2008) is related to it.
- **Cost.** The sum is divided by the number of tokens plus a constant, for what every sentence costs whatever its
  length. So long sentences do not win because they are long, which MNLP (Shen et al. 2017) does for the probability of
  the best sequence, and neither do single words.
- **Diversity.** The doubts at one word add up with diminishing returns: the second sentence of a batch that is
  uncertain about the same word counts for less. The value of a batch is then a submodular function of its sentences,
  for which a greedy choice by gain and cost is near the best one (Lin and Bilmes 2010; Wei, Iyer and Bilmes 2015).
  Gains only fall as the batch grows, so most of them are never computed again (Minoux 1978).

Sentences come one by one. Only the best ones are kept, so the memory does not grow with their number.

Settles and Craven 2008: An analysis of active learning strategies for sequence labeling tasks (EMNLP). Shen, Yun,
Lipton, Kronrod and Anandkumar 2017: Deep active learning for named entity recognition (RepL4NLP). Lin and Bilmes 2010:
Multi-document summarization via budgeted maximization of submodular functions (NAACL). Wei, Iyer and Bilmes 2015:
Submodularity in data subset selection and active learning (ICML). Minoux 1978: Accelerated greedy algorithms for
maximizing submodular set functions.
"""

from __future__ import annotations

import collections
import dataclasses
import heapq
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from tagger.corpus.schemes import spans_from_tags
from tagger.prediction.predictor import TaggedSentence

P = TypeVar("P")
SENTENCE_COST = 5.0  # what a sentence costs whatever its length, in tokens
SATURATION = 1.0  # how fast further doubts at the same word lose their worth
_KEPT_PER_CHOSEN, _FEWEST_KEPT = 10, 2000


def doubts_of(tagged: TaggedSentence, *, has_spans: bool = True) -> list[float]:
    """Return the expected number of errors at each token; their sum is that of the sentence.

    Args:
        tagged: a sentence that was tagged with the probabilities of its tags and spans.
        has_spans: whether the tags mark spans; otherwise each token has a plain tag, which is right or wrong.
    """
    doubts = [1.0 - probability for probability in tagged.probabilities]
    if has_spans:
        for span, probability in zip(spans_from_tags(tagged.tags), tagged.span_probabilities, strict=True):
            length = span.end - span.start
            doubts[span.start : span.end] = [(1.0 - probability) / length] * length
    return doubts


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate(Generic[P]):
    """A sentence that may be chosen.

    Attributes:
        position: its number in the input, from 0.
        n_tokens: the number of its tokens.
        doubts: word → the summed doubts at its tokens.
        payload: whatever the caller needs for the sentence.
    """

    position: int
    n_tokens: int
    doubts: Mapping[str, float]
    payload: P

    @classmethod
    def of(cls, position: int, tokens: Sequence[str], doubts: Iterable[float], payload: P) -> Candidate[P]:
        """Return the candidate of a sentence with a doubt at each token."""
        summed: collections.defaultdict[str, float] = collections.defaultdict(float)
        for token, doubt in zip(tokens, doubts, strict=True):
            summed[token.lower()] += doubt
        return cls(position, len(tokens), dict(summed), payload)

    @property
    def expected_errors(self) -> float:
        """The expected number of errors of the model in this sentence."""
        return sum(self.doubts.values())

    def gain(self, covered: Mapping[str, float]) -> float:
        """Return what the sentence adds to a batch, for its cost.

        Args:
            covered: word → the summed doubts in the batch.
        """
        worth = sum(
            math.log1p(SATURATION * doubt / (1 + SATURATION * covered.get(word, 0.0)))
            for word, doubt in self.doubts.items()
        )
        return worth / SATURATION / (self.n_tokens + SENTENCE_COST)


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen(Generic[P]):
    """A sentence that was chosen.

    Attributes:
        candidate: the sentence.
        gain: what it added to the sentences that were chosen before it, for its cost.
    """

    candidate: Candidate[P]
    gain: float


class Selection(Generic[P]):
    """A choice of n sentences among many, which come one by one.

    Equal sentences are one candidate, the first of them. The candidates with the largest gains of their own are kept:
    ten times as many as are to be chosen, and at least 2,000.

    Args:
        n: the number of sentences to choose.

    Attributes:
        n_sentences, n_tokens: the numbers of all sentences that were added, and of their tokens.
        expected_errors: the expected number of errors in all of them.
        n_repeated: the number of sentences that were equal to a kept one.
    """

    def __init__(self, n: int) -> None:
        self.n_sentences = self.n_tokens = self.n_repeated = 0
        self.expected_errors = 0.0
        self._n, self._most = n, max(_FEWEST_KEPT, _KEPT_PER_CHOSEN * n)
        # (gain, -position, key), the smallest gain first; of equal gains, the later sentence is dropped first.
        self._heap: list[tuple[float, int, Hashable]] = []
        self._kept: dict[Hashable, Candidate[P]] = {}

    def add(self, candidate: Candidate[P], key: Hashable) -> None:
        """Add a sentence; `key` is the same for equal sentences, and candidates come in order of their positions.

        Equal sentences have equal gains. So if one is dropped or not kept, no later one is kept either.
        """
        self.n_sentences += 1
        self.n_tokens += candidate.n_tokens
        self.expected_errors += candidate.expected_errors
        if key in self._kept:
            self.n_repeated += 1
            return
        entry = candidate.gain({}), -candidate.position, key
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        elif entry[:2] <= self._heap[0][:2]:
            return
        else:
            del self._kept[heapq.heapreplace(self._heap, entry)[2]]
        self._kept[key] = candidate

    def choose(self) -> list[Chosen[P]]:
        """Return the chosen sentences, the most useful first."""
        covered: collections.defaultdict[str, float] = collections.defaultdict(float)
        # (-gain, position): the largest gain first; of equal ones, the earlier sentence. Gains may be out of date.
        waiting = [(-candidate.gain({}), candidate.position, 0, key) for key, candidate in self._kept.items()]
        heapq.heapify(waiting)
        chosen: list[Chosen[P]] = []
        while waiting and len(chosen) < self._n:
            gain, position, n_before, key = waiting[0]
            candidate = self._kept[key]
            if n_before != len(chosen):
                heapq.heapreplace(waiting, (-candidate.gain(covered), position, len(chosen), key))
                continue
            heapq.heappop(waiting)
            chosen.append(Chosen(candidate, -gain))
            for word, doubt in candidate.doubts.items():
                covered[word] += doubt
        return chosen
