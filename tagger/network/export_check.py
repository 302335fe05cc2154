"""Whether an exported network is the one that was trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tagger.corpus.encoder import Columns
from tagger.errors import ModelError, TaggerError
from tagger.runtime.model_files import GRAPH
from tagger.runtime.predictor import Predictor
from tagger.runtime.transitions import Transitions

_TOLERANCE = 1e-4
_SAMPLE_TOKENS = 2000


def check_equal(exported: Predictor, trained: Predictor, sentences: Sequence[Columns]) -> None:
    """Compare an exported network with the one that was trained on some thousand tokens of real sentences.

    Raises:
        ModelError: their logits differ by more than 1e-4 (of the largest, if that is above 1), or their tags do
            where no two tags of a token are as close as that.
    """
    sample = _sample([columns for columns in sentences if columns[0]])
    learned = _transitions(exported), _transitions(trained)
    if learned[0] is not None and learned[1] is not None and not learned[0].is_close(learned[1], _TOLERANCE):
        raise ModelError(f"{GRAPH}: its CRF has other transitions than the network that was trained; report this")
    given = [tokens for tokens, *_ in sample], [features for _, *features in sample]
    found, expected = exported.logits(*given), trained.logits(*given)
    tags = zip(exported.tag(*given), trained.tag(*given), strict=True)
    for ours, theirs, (our_tagged, their_tagged) in zip(found, expected, tags, strict=True):
        if not np.isfinite(theirs).all():  # ONNX Runtime's LSTM would make numbers of them
            raise TaggerError(
                "the network computes no numbers: training diverged; lower training.learning_rate, or set"
                " training.clip_norm"
            )
        tolerance = _TOLERANCE * max(1.0, float(np.abs(theirs).max()))
        difference = float(np.abs(ours - theirs).max())
        best_two = np.sort(theirs, axis=-1)[:, -2:]
        is_close_call = bool((best_two[:, -1] - best_two[:, 0] <= 2 * tolerance).any()) and theirs.shape[-1] > 1
        # The best path under a CRF is decided by sums: that its parts are equal has to do.
        differ = our_tagged.tags != their_tagged.tags and not is_close_call and not _transitions(trained)
        if difference > tolerance or differ:
            raise ModelError(
                f"{GRAPH}: what ONNX Runtime computes is {difference:.2g} from what TensorFlow does, expected at"
                f" most {tolerance:.2g}; install other versions of them, and report this"
            )


def _transitions(predictor: Predictor) -> Transitions | None:
    found: Transitions | None = getattr(predictor.model.network, "transitions", None)
    return found


def _sample(sentences: Sequence[Columns]) -> list[Columns]:
    """The longest sentence and as many of the first ones as make some thousand tokens."""
    sample = sorted(sentences, key=lambda columns: len(columns[0]))[-1:]
    n_tokens = 0
    for columns in sentences:
        if n_tokens > _SAMPLE_TOKENS:
            break
        sample.append(columns)
        n_tokens += len(columns[0])
    return sample
