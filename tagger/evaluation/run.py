"""Score a model on a file."""

from __future__ import annotations

from pathlib import Path

from tagger.corpus.dataset import load_gold
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.errors import DataError
from tagger.evaluation.scores import Evaluation, evaluate
from tagger.runtime.model_dir import Model
from tagger.runtime.predictor import Predictor


def gold_file(model: Model, given: str | None) -> Path:
    """The file to score on: the given one, else the config's test file.

    Raises:
        DataError: there is none.
    """
    if given is not None:
        return Path(given)
    if model.manifest.test is None:
        raise DataError("FILE: the model's config names no data.test; pass the file to score on")
    path = model.directory / model.manifest.test
    if not path.exists():
        raise DataError(f"{path}: the config's test file is no longer there; pass FILE")
    return path


def evaluate_file(predictor: Predictor, path: str | Path, layout: Layout, notation: Notation) -> Evaluation:
    """Scores of exactly the tags that `tagger predict` writes.

    Raises:
        DataError: the file has no gold tags that fit.
    """
    corpus = load_gold(path, layout, notation)
    tagged = predictor.tag([sentence.tokens for sentence in corpus.sentences])
    return evaluate(corpus.tags, [sentence.tags for sentence in tagged], notation.scheme)
