"""Score several models and their ensemble on the same file."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from tagger.corpus.layout import Layout
from tagger.corpus.lines import Files, files_of, names_of, require_regular
from tagger.evaluation.evaluate import check_same_gold, tagged_gold
from tagger.evaluation.scores import Evaluation
from tagger.prediction.ensemble import Ensemble, check_agree
from tagger.prediction.predictor import Predictor

Tell = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class SeveralScores:
    """The scores of several models and of their ensemble on the same sentences.

    Attributes:
        names: the directories of the models, as they were given.
        models: the scores of each.
        ensemble: those of the mean of their distributions (see `prediction.ensemble`).
    """

    names: Sequence[str]
    models: Sequence[Evaluation]
    ensemble: Evaluation

    @property
    def mean(self) -> dict[str, float]:
        """The mean of the scores of the models: precision, recall, F1 and accuracy; accuracy alone for plain tags."""
        found = {"accuracy": statistics.mean(one.accuracy for one in self.models)}
        scores = [one.overall for one in self.models if one.overall is not None]
        if scores:
            found |= {
                key: statistics.mean(getattr(one, key) for one in scores) for key in ("precision", "recall", "f1")
            }
        return found

    def to_json(self) -> dict[str, Any]:
        """Return what `tagger eval --json` prints."""
        models = [{"model": name, **found.to_json()} for name, found in zip(self.names, self.models, strict=True)]
        return {"models": models, "mean": self.mean, "ensemble": self.ensemble.to_json()}


def evaluate_several(
    predictors: Sequence[Predictor],
    names: Sequence[str],
    paths: Files,
    layouts: Sequence[Layout],
    *,
    note: Tell,
    warn: Tell,
) -> SeveralScores:
    """Score models and their ensemble; each model reads the files by its own layout, the ensemble by the first one.

    Raises:
        ModelError: the models have different tags, schemes or feature columns.
        DataError: a file is a pipe or has no gold tags that fit the models, or the models read it differently.
    """
    check_agree([predictor.model for predictor in predictors], "--model")
    for file in files_of(paths):
        require_regular(file)
    quiet: Tell = lambda text: None  # noqa: E731 (what the first model says of the files, the others would repeat)
    found, gold = list[Evaluation](), list[list[list[str]]]()
    for i, (predictor, layout) in enumerate(zip(predictors, layouts, strict=True)):
        with tagged_gold(predictor, paths, layout, quiet if i else note, quiet if i else warn) as tagged:
            gold.append([sentence.gold for sentence in tagged])
            found.append(tagged.evaluation())
        if i:
            check_same_gold((predictors[0], predictor), (gold[0], gold[-1]), names_of(paths))
    with tagged_gold(Ensemble(predictors), paths, layouts[0]) as tagged:
        for _ in tagged:
            pass
        ensemble = tagged.evaluation()
    return SeveralScores(names, found, ensemble)
