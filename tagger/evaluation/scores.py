"""Precision, recall and F1 by seqeval.

There are two readings of tags, and every score names its reading. *Conlleval's* reading is seqeval's default mode: it
reads ill-formed sequences as conlleval does. The *strict* reading is seqeval's strict mode: it counts only spans
that are well-formed in the scheme, before any repair.
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import sys
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tagger.corpus.partial import without_unknown
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, UNKNOWN, convert, spans_from_tags
from tagger.stand_ins import standing_in

_Tags = Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Score:
    """Precision, recall and F1 as fractions from 0 to 1; `support` is the number of gold spans."""

    precision: float
    recall: float
    f1: float
    support: int = 0

    @classmethod
    def of_counts(cls, n_right: int, n_predicted: int, n_gold: int) -> Score:
        """Return the score that follows from numbers of spans; what is divided by 0 is 0."""
        return cls(
            n_right / n_predicted if n_predicted else 0.0,
            n_right / n_gold if n_gold else 0.0,
            2 * n_right / (n_predicted + n_gold) if n_right else 0.0,
            n_gold,
        )


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The scores of predicted tags against gold tags.

    Attributes:
        overall: the micro average by conlleval's reading, or None for plain tags.
        strict: the micro average by the strict reading, or None for plain tags.
        types: the scores of each entity type by conlleval's reading.
        accuracy: the fraction of tokens with the right tag.
        sentences, tokens: the numbers of sentences and tokens that were scored.
        unknown: the number of further tokens, which are not annotated.
        left_out: the number of gold and of predicted spans that are not scored, because the annotation does not say
            whether they are right.
    """

    overall: Score | None
    strict: Score | None
    types: Mapping[str, Score]
    accuracy: float
    sentences: int
    tokens: int
    unknown: int = 0
    left_out: tuple[int, int] = (0, 0)

    @property
    def has_spans(self) -> bool:
        """Whether the gold tags contain any span."""
        return self.overall is not None and self.overall.support > 0

    @property
    def score(self) -> float:
        """F1, or accuracy if F1 is meaningless: for plain tags, and for gold tags without spans."""
        return self.overall.f1 if self.overall and self.has_spans else self.accuracy

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Evaluation:
        """Build an evaluation from the values of `dataclasses.asdict`."""
        overall, strict = (Score(**values[name]) if values[name] else None for name in ("overall", "strict"))
        types = {name: Score(**score) for name, score in values["types"].items()}
        left_out = tuple(values.get("left_out", cls.left_out))  # JSON has no tuples, and earlier versions lack it
        return cls(**{**values, "overall": overall, "strict": strict, "types": types, "left_out": left_out})

    def to_json(self) -> dict[str, Any]:
        """Return the object that `tagger eval --json` prints; for plain tags, the scores of spans are null."""

        def fractions(score: Score | None) -> dict[str, float | None]:
            return {name: getattr(score, name, None) for name in ("precision", "recall", "f1")}

        return {
            **fractions(self.overall),
            "accuracy": self.accuracy,
            "strict": fractions(self.strict),
            "types": {name: dataclasses.asdict(score) for name, score in self.types.items()},
            "sentences": self.sentences,
            "tokens": self.tokens,
            **self._partial_json(),
        }

    def _partial_json(self) -> dict[str, Any]:
        if not self.unknown:
            return {}
        gold, predicted = self.left_out
        return {"not_annotated": {"tokens": self.unknown, "gold_spans": gold, "predicted_spans": predicted}}


def evaluate(gold_tags: _Tags, pred_tags: _Tags, scheme: str, gold_scheme: str | None = None) -> Evaluation:
    """Score canonical tags (`none`: accuracy only).

    Tokens that are not annotated are left out, and so are the spans that `partial.without_unknown` names.

    Args:
        scheme: the scheme of the predicted tags.
        gold_scheme: the scheme of the gold tags if it is another one. Their spans then count, written in `scheme`.

    Raises:
        ValueError: gold and predicted tags differ in their numbers of sentences or tokens.
    """
    gold_scheme = gold_scheme or scheme
    n_unknown = sum(tags.count(UNKNOWN) for tags in gold_tags)
    if n_unknown:
        return _evaluate_partial(gold_tags, pred_tags, scheme, gold_scheme, n_unknown)
    written = [convert(tags, gold_scheme, scheme) for tags in gold_tags]
    pairs = [pair for gold, pred in zip(written, pred_tags, strict=True) for pair in zip(gold, pred, strict=True)]
    accuracy = sum(gold == pred for gold, pred in pairs) / len(pairs) if pairs else 0.0
    if scheme == NO_SCHEME:
        return Evaluation(None, None, {}, accuracy, len(gold_tags), len(pairs))
    gold_iob2 = [convert(tags, gold_scheme, "IOB2") for tags in gold_tags]
    pred_iob2 = [convert(tags, scheme, "IOB2") for tags in pred_tags]
    overall, types = _conlleval_scores(gold_iob2, pred_iob2)
    if scheme == "IO":  # in which every sequence is well-formed
        strict = _strict_score(gold_iob2, pred_iob2, "IOB2")
    else:
        strict = _strict_score(written, [list(tags) for tags in pred_tags], scheme)
    return Evaluation(overall, strict, types, accuracy, len(gold_tags), len(pairs))


def _evaluate_partial(gold_tags: _Tags, pred_tags: _Tags, scheme: str, gold_scheme: str, n_unknown: int) -> Evaluation:
    rows = [without_unknown(*pair, plain=scheme == NO_SCHEME) for pair in zip(gold_tags, pred_tags, strict=True)]
    marked = [[OUTSIDE if tag == UNKNOWN else tag for tag in tags] for gold, pred, _ in rows for tags in (gold, pred)]
    spans = evaluate(marked[::2], marked[1::2], scheme, gold_scheme)
    # A token beside an unknown one is known, even if its span is not scored.
    written = [convert(tags, gold_scheme, scheme) for tags in gold_tags]
    pairs = [
        pair
        for gold, pred in zip(written, pred_tags, strict=True)
        for pair in zip(gold, pred, strict=True)
        if pair[0] != UNKNOWN
    ]
    accuracy = sum(gold == pred for gold, pred in pairs) / len(pairs) if pairs else 0.0
    left_out = (0, 0)
    if scheme != NO_SCHEME:
        n_gold = sum(len(spans_from_tags(tags)) for tags in gold_tags)
        n_left = sum(len(spans_from_tags(gold)) for gold, _, _ in rows)
        left_out = n_gold - n_left, sum(not is_kept for _, _, kept in rows for is_kept in kept)
    return dataclasses.replace(spans, accuracy=accuracy, tokens=len(pairs), unknown=n_unknown, left_out=left_out)


def _conlleval_scores(gold: _Tags, pred: _Tags) -> tuple[Score, dict[str, Score]]:
    precision_recall_fscore_support = _seqeval("metrics.sequence_labeling").precision_recall_fscore_support
    names = sorted({span.type for tags in (*gold, *pred) for span in spans_from_tags(tags)})
    if not names:
        return Score(0.0, 0.0, 0.0), {}
    with _quiet():
        micro = precision_recall_fscore_support(gold, pred, average="micro", zero_division=0)
        by_type = precision_recall_fscore_support(gold, pred, average=None, zero_division=0)
    types = {name: _score(values) for name, *values in zip(names, *by_type, strict=True)}
    return _score([*micro[:3], sum(score.support for score in types.values())]), types


def _strict_score(gold: _Tags, pred: _Tags, scheme: str) -> Score:
    if not gold:
        return Score(0.0, 0.0, 0.0)
    # seqeval strips hyphens from the ends of types here, which would merge A and A-. Use names without hyphens.
    names: dict[str, str] = {}

    def safe(tag: str) -> str:
        prefix, hyphen, entity_type = tag.partition("-")
        return f"{prefix}-{names.setdefault(entity_type, f'T{len(names)}')}" if hyphen else tag

    known, translate = _IN_SEQEVAL.get(scheme, (scheme, list))
    gold, pred = ([translate([safe(tag) for tag in tags]) for tags in side] for side in (gold, pred))
    with _quiet():
        values = _seqeval("metrics.v1").precision_recall_fscore_support(
            gold, pred, average="micro", scheme=getattr(_seqeval("scheme"), known), zero_division=0
        )
    return _score([*values[:3], 0])


def _seqeval(name: str) -> Any:
    """Import a module of seqeval without scikit-learn, whose import takes longer than all the rest of an evaluation.

    seqeval takes the class of a warning from there, and nothing else. Stand-ins have that class meanwhile, so a later
    `import sklearn` finds the real one.
    """
    if "seqeval" not in sys.modules and "sklearn" not in sys.modules:
        stand_ins = {module: types.ModuleType(module) for module in ("sklearn", "sklearn.exceptions")}
        stand_ins["sklearn.exceptions"].UndefinedMetricWarning = UserWarning  # type: ignore[attr-defined]
        with standing_in(stand_ins):
            importlib.import_module("seqeval.metrics")
    return importlib.import_module(f"seqeval.{name}")


def _backwards(tags: Sequence[str]) -> list[str]:
    """Return tags of IOE1 or IOE2 from the last to the first, as tags of IOB1 or IOB2."""
    return [tag.replace("E-", "B-", 1) if tag.startswith("E-") else tag for tag in reversed(tags)]


def _with_ends(tags: Sequence[str]) -> list[str]:
    """Return tags of BIOS as tags of IOBES, whose spans are well-formed where those of BIOS are."""
    return [
        f"E{tag[1:]}" if tag.startswith("I-") and after != tag else tag
        for tag, after in itertools.pairwise([*tags, OUTSIDE])
    ]


def _with_singles(tags: Sequence[str]) -> list[str]:
    """Return tags of BIOE as tags of IOBES, whose spans are well-formed where those of BIOE are."""
    return [
        f"S{tag[1:]}" if tag.startswith("B-") and after not in (f"I{tag[1:]}", f"E{tag[1:]}") else tag
        for tag, after in itertools.pairwise([*tags, OUTSIDE])
    ]


# The schemes that seqeval reads by another one: it does not know BIOS and BIOE, and it misses spans of IOE1.
_IN_SEQEVAL: Mapping[str, tuple[str, Callable[[Sequence[str]], list[str]]]] = {
    "IOE1": ("IOB1", _backwards),
    "IOE2": ("IOB2", _backwards),
    "BIOS": ("IOBES", _with_ends),
    "BIOE": ("IOBES", _with_singles),
}


def _score(values: Sequence[Any]) -> Score:
    precision, recall, f1, support = values
    return Score(float(precision), float(recall), float(f1), int(support))


def _quiet() -> warnings.catch_warnings[None]:
    # seqeval warns if a type has no spans or an average is empty. Both scores are 0 in the result.
    return warnings.catch_warnings(action="ignore")
