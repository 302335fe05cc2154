"""What one model gets right and another one wrong on the same sentences."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from tagger.corpus.schemes import Span, spans_from_tags
from tagger.evaluation.evaluate import GoldSentence
from tagger.report.sentences import ListedSentence, line_of, shown_range

ONLY_MODEL, ONLY_OTHER = "only this model finds it", "only the other model finds it"
MODEL_WRONG, OTHER_WRONG = "only this model predicts it wrongly", "only the other model predicts it wrongly"
DIFFERENCES = (ONLY_MODEL, ONLY_OTHER, MODEL_WRONG, OTHER_WRONG)


@dataclasses.dataclass
class Shared:
    """The gold spans of a type by which of the two models finds them."""

    both: int = 0
    only_model: int = 0
    only_other: int = 0
    neither: int = 0


class Difference:
    """The differences between two models, of pairs of sentences that are added one by one.

    Attributes:
        shared: the gold spans by type.
        wrong: the numbers of wrong predicted spans that only one of the models has, by difference.
    """

    def __init__(self) -> None:
        self.shared: dict[str, Shared] = {}
        self.wrong = collections.Counter[str]()
        self._n = 0

    def add(self, sentence: GoldSentence, other: GoldSentence) -> ListedSentence | None:
        """Count a sentence that both models have tagged; return it if they differ in what is right."""
        self._n += 1
        gold = spans_from_tags(sentence.gold)
        sides = [spans_from_tags(sentence.pred), spans_from_tags(other.pred)]
        if not gold and not sides[0] and not sides[1]:
            return None
        ours, theirs = map(set, sides)
        for span in gold:
            shared = self.shared.setdefault(span.type, Shared())
            name = ("neither", "only_other", "only_model", "both")[2 * (span in ours) + (span in theirs)]
            setattr(shared, name, getattr(shared, name) + 1)
        found = list(_differences(set(gold), ours, theirs))
        self.wrong.update(what for what, _ in found if what in (MODEL_WRONG, OTHER_WRONG))
        if not found:
            return None
        shown = shown_range(sentence.tokens, [*gold, *sides[0], *sides[1]], [(s.start, s.end) for _, s in found])
        lines = [
            line_of(side, sentence.tokens, spans, _notes(spans, right), shown=shown)
            for side, spans, right in (
                ("gold", gold, gold),
                ("this model", sides[0], gold),
                ("the other", sides[1], gold),
            )
        ]
        labels = frozenset((what, span.type) for what, span in found)
        return ListedSentence(self._n, f"{sentence.path}:{sentence.lines[0]}", lines, labels)


def _differences(gold: set[Span], ours: set[Span], theirs: set[Span]) -> Iterator[tuple[str, Span]]:
    yield from ((ONLY_MODEL, span) for span in gold & ours - theirs)
    yield from ((ONLY_OTHER, span) for span in gold & theirs - ours)
    yield from ((MODEL_WRONG, span) for span in ours - theirs - gold)
    yield from ((OTHER_WRONG, span) for span in theirs - ours - gold)


def _notes(spans: Iterable[Span], right: Sequence[Span]) -> dict[tuple[int, int], str]:
    return {(span.start, span.end): "wrong" for span in spans if span not in right}
