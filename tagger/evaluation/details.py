"""An evaluation with more than seqeval's scores, for which each sentence is still read and tagged once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tagger.corpus.layout import Layout
from tagger.corpus.lines import Files
from tagger.corpus.schemes import NO_SCHEME
from tagger.errors import DataError
from tagger.evaluation.error_table import write_error_table
from tagger.evaluation.errors import span_errors
from tagger.evaluation.evaluate import GoldSentence, TaggedGold, tagged_gold
from tagger.evaluation.schemas import SchemaScores
from tagger.evaluation.scores import Evaluation
from tagger.evaluation.unseen import UnseenScores
from tagger.prediction.predictor import Predictor


@dataclasses.dataclass
class Details:
    """What is wanted beside seqeval's scores.

    Attributes:
        schemas: counts the spans by the schemas of SemEval-2013, or None.
        unseen: counts the spans by what was seen in the training data, or None.
        errors: the file that the errors are written to, or None.
    """

    schemas: SchemaScores | None = None
    unseen: UnseenScores | None = None
    errors: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the keys that are added to the object of `tagger eval --json`."""
        found = {} if self.schemas is None else {"schemas": self.schemas.to_json()}
        if self.unseen is not None:
            scores = self.unseen.scores
            found["unseen"] = {name.replace(" ", "_"): dataclasses.asdict(score) for name, score in scores.items()}
        return found


def require_spans(predictor: Predictor, option: str) -> None:
    """Raise DataError if a model predicts plain tags, which have no spans to count.

    Args:
        option: the option that needs spans, for the message.
    """
    if predictor.model.manifest.notation.scheme == NO_SCHEME:
        raise DataError(
            f"{option}: found a model of plain tags (scheme {NO_SCHEME}), expected one of spans; leave the option out"
        )


def evaluate_in_detail(
    predictor: Predictor,
    paths: Files,
    layout: Layout,
    details: Details,
    *,
    note: Callable[[str], None],
    warn: Callable[[str], None],
) -> Evaluation:
    """Score a model on one or more files as `evaluate_file` does, and fill in the details.

    Raises:
        DataError: the file has no gold tags, its tags do not fit the model, or the errors cannot be written.
    """
    with tagged_gold(predictor, paths, layout, note, warn, spans=details.errors is not None) as tagged:
        sentences = _counted(tagged, details)
        if details.errors is not None:
            write_error_table(details.errors, span_errors(sentences))
        for _ in sentences:
            pass  # all of them, if no table was written
        return tagged.evaluation()


def _counted(tagged: TaggedGold, details: Details) -> Iterator[GoldSentence]:
    for sentence in tagged:
        if details.schemas is not None:
            details.schemas.add(sentence.gold, sentence.pred)
        if details.unseen is not None:
            details.unseen.add(sentence)
        yield sentence
