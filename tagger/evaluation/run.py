"""Score a model on a file."""

from __future__ import annotations

from tagger.corpus.dataset import load_gold
from tagger.corpus.layout import Layout
from tagger.errors import DataError
from tagger.evaluation.scores import Evaluation, evaluate
from tagger.runtime.conll_stream import PIECE_LINES
from tagger.runtime.model_dir import Model
from tagger.runtime.predictor import Predictor


def gold_file(model: Model[object], given: str | None) -> str:
    """The file to score on: the given one, else the config's test file.

    Raises:
        DataError: there is none.
    """
    if given is not None:
        return given
    if model.manifest.test is None:
        raise DataError("FILE: the model's config names no data.test; pass the file to score on")
    path = model.directory / model.manifest.test
    if not path.exists():
        raise DataError(f"{path}: the config's test file is no longer there; pass FILE")
    return str(path)


def evaluate_file(predictor: Predictor, path: str, layout: Layout) -> Evaluation:
    """Scores of exactly the tags that `tagger predict` writes.

    Raises:
        DataError: the file has no gold tags that fit.
    """
    notation = predictor.model.manifest.notation
    gold: list[list[str]] = []
    pred: list[list[str]] = []
    goes_on = False
    corpus = load_gold(path, layout, notation, max_lines=PIECE_LINES)
    for tags, (sentence, tagged) in zip(corpus.tags, predictor.tag_stream(corpus.sentences), strict=True):
        if not goes_on or sentence.follows_docstart:
            gold.append([])
            pred.append([])
        gold[-1] += tags
        pred[-1] += tagged.tags
        goes_on = sentence.continues
    return evaluate([tags for tags in gold if tags], [tags for tags in pred if tags], notation.scheme)
