"""Score a model on a file, or compare two models on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tagger.corpus.dataset import load_gold, note_on_notation
from tagger.corpus.layout import Layout
from tagger.corpus.lines import require_regular
from tagger.corpus.schemes import NO_SCHEME, spans_from_tags
from tagger.errors import DataError
from tagger.evaluation.scores import Evaluation, evaluate
from tagger.evaluation.significance import Comparison, compare, span_counts
from tagger.model_dir.store import Model
from tagger.prediction.predictor import Predictor
from tagger.prediction.stream import CHUNK_LINES, tag_stream
from tagger.wording import counted


def gold_file(model: Model[object], given: str | None) -> str:
    """Return the file to score: the given one, or else the config's test file.

    Raises:
        DataError: there is no such file.
    """
    if given is not None:
        return given
    if model.manifest.test is None:
        raise DataError("FILE: found none, and the model's config does not set data.test; pass the file to score")
    path = model.directory / model.manifest.test
    if not path.is_file():  # a model from elsewhere could name a pipe or an endless device
        raise DataError(f"{path}: the config's test file is no longer there, or is not a file; pass FILE")
    return str(path)


def evaluate_file(
    predictor: Predictor,
    path: str,
    layout: Layout,
    look: Callable[[], None] = lambda: None,
    note: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Score a model on a file, with exactly the tags that `tagger predict` would write.

    Args:
        look: called after each sentence; an exception that it raises ends the evaluation.
        note: called with what the user should know about the file.

    Raises:
        DataError: the file has no gold tags, or its tags do not fit the model.
    """
    gold, pred, gold_scheme = _gold_and_pred(predictor, path, layout, look, note)
    return evaluate(gold, pred, predictor.model.manifest.notation.scheme, gold_scheme)


def compare_on_file(
    first: Predictor, second: Predictor, path: str, layouts: tuple[Layout, Layout], *, samples: int, seed: int
) -> Comparison:
    """Compare two models on the sentences of one file, which each model reads by its own layout.

    Raises:
        DataError: the file is a pipe, has fewer than two sentences, or has no gold tags that fit the models; or the
            models read different sentences or spans in it.
    """
    require_regular(path)
    counts = []
    for predictor, layout in zip((first, second), layouts, strict=True):
        gold, pred, _ = _gold_and_pred(predictor, path, layout)
        counts.append((gold, span_counts(gold, pred, predictor.model.manifest.notation.scheme)))
    (gold, ours), (other_gold, theirs) = counts
    schemes = [predictor.model.manifest.notation.scheme for predictor in (first, second)]
    if list(map(len, gold)) != list(map(len, other_gold)) or _meaning(gold, schemes[0]) != _meaning(
        other_gold, schemes[1]
    ):
        raise DataError(
            f"{path}: the two models read different sentences or spans in it, expected the same; compare models for the"
            " same kind of file, or name its columns with --columns"
        )
    if len(gold) < 2:
        raise DataError(
            f"{path}: found {counted(len(gold), 'sentence')}, expected at least two; compare on a larger file"
        )
    return compare(ours, theirs, samples=samples, seed=seed)


def _meaning(tags: list[list[str]], scheme: str) -> list[Any]:
    return [some if scheme == NO_SCHEME else spans_from_tags(some) for some in tags]


def _gold_and_pred(
    predictor: Predictor,
    path: str,
    layout: Layout,
    look: Callable[[], None] = lambda: None,
    note: Callable[[str], None] = lambda text: None,
) -> tuple[list[list[str]], list[list[str]], str]:
    """Tag a gold file.

    Returns:
        Gold tags in the file's scheme and predicted tags in the scheme of the model's training file, canonical, for
        each sentence; and the file's scheme.
    """
    gold: list[list[str]] = []
    pred: list[list[str]] = []
    continues = False
    trained = predictor.model.manifest.notation
    corpus = load_gold(path, layout, trained, max_lines=CHUNK_LINES)
    if (text := note_on_notation(corpus, trained)) is not None:
        note(f"{corpus.path}: {text}")
    for tags, (sentence, tagged) in zip(
        corpus.tags, tag_stream(predictor, corpus.sentences, probabilities=False), strict=True
    ):
        if not continues or sentence.follows_docstart:
            gold.append([])
            pred.append([])
        gold[-1] += tags
        pred[-1] += tagged.tags
        continues = sentence.continues
        look()
    return [tags for tags in gold if tags], [tags for tags in pred if tags], corpus.notation.scheme
