"""An ensemble of models: the mean of their distributions at each token, decoded once.

The distribution of a model at a token is its softmax; with a CRF, the marginal probabilities of its tags. The mean of
the distributions is decoded with the legal transitions alone, because the weights that the CRFs have learned are part
of their marginals already. The ensemble of one model without a CRF therefore predicts what the model predicts. That of
one model with a CRF predicts the legal sequence with the largest product of marginals, which may differ from the
likeliest sequence (both decoders are in Bishop 2006, section 13.2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.architecture import Decoder
from tagger.corpus.schemes import NO_SCHEME
from tagger.corpus.transitions import Transitions
from tagger.errors import ModelError
from tagger.filesystem import relative_path
from tagger.inputs.batching import batches_by_length
from tagger.inputs.encoder import Columns
from tagger.inputs.vocabulary import Ids
from tagger.model_dir.store import Model
from tagger.prediction.decoding import Logits, log_softmax
from tagger.prediction.lattice import Lattice
from tagger.prediction.predictor import ComputeLogits, Predictor
from tagger.wording import listed

_LEAST = 1e-30  # a lower probability counts as this one, so that its logarithm is finite
_MOST_SHOWN = 5  # tags that an error names


def distributions(
    logits: Logits, lengths: npt.NDArray[np.int32], transitions: Transitions | None, temperature: float = 1.0
) -> npt.NDArray[np.float64]:
    """Return the probability of each tag at each token, [B, T, K]: the marginals of a CRF, otherwise the softmax.

    Args:
        logits: [B, T, K].
        lengths: [B]; the probabilities beyond a sentence's length are meaningless.
        transitions: those that the model decodes with; only those of a CRF are part of its distribution.
        temperature: what the logits and the weights of a CRF are divided by; above 1, the distribution is flatter.
    """
    if temperature != 1.0:
        logits = logits / np.float32(temperature)
    if transitions is not None and transitions.learned:
        return Lattice(logits, lengths, transitions.scaled(1 / temperature)).marginals()
    result: npt.NDArray[np.float64] = np.exp(log_softmax(logits).astype(np.float64))
    return result


def check_agree(models: Sequence[Model[object]], option: str) -> None:
    """Raise ModelError unless all models predict the same tags, in one scheme, from the same columns.

    Args:
        option: the option that names the models, for the message.
    """
    first = models[0]
    ours = relative_path(first.directory)
    for other in models[1:]:
        theirs = relative_path(other.directory)
        if first.manifest.scheme != other.manifest.scheme:
            raise ModelError(
                f"{option}: {ours} has learned tags in {_scheme(first)} and {theirs} tags in {_scheme(other)}, expected"
                " one scheme; train them with the same model.scheme, on files of one kind"
            )
        known, others = set(first.tags.tags), set(other.tags.tags)
        if known != others:
            only = [
                f"only {name} has {_some(tags)}"
                for name, tags in ((ours, known - others), (theirs, others - known))
                if tags
            ]
            raise ModelError(
                f"{option}: {ours} and {theirs} have different tags, expected the same: {' and '.join(only)}; train"
                " them on data with the same types"
            )
        names = first.manifest.layout.feature_names, other.manifest.layout.feature_names
        if names[0] != names[1]:
            shown = [listed(one) if one else "none" for one in names]
            raise ModelError(
                f"{option}: {ours} and {theirs} read different feature columns, expected the same: {shown[0]} and"
                f" {shown[1]}; train them with the same data.columns"
            )


def _scheme(model: Model[object]) -> str:
    scheme = model.manifest.scheme
    return "no scheme" if scheme == NO_SCHEME else scheme


def _some(tags: set[str]) -> str:
    shown = sorted(tags)[:_MOST_SHOWN]
    return ", ".join(shown) + (f" and {len(tags) - len(shown)} more" if len(tags) > len(shown) else "")


class Ensemble(Predictor):
    """A tagger of sentences with several models: its logits are the logarithms of the mean of their distributions.

    Args:
        members: the predictors of the models, which agree as `check_agree` asks.
        temperature: as for `distributions`.
        threads: the number of batches to compute side by side.
    """

    def __init__(self, members: Sequence[Predictor], *, temperature: float = 1.0, threads: int = 1) -> None:
        self._members = tuple(members)
        first = members[0].model
        manifest = dataclasses.replace(
            first.manifest,
            network=dataclasses.replace(first.manifest.network, decoder=Decoder.CONSTRAINED),
            max_length=min(one.model.manifest.max_length for one in members),
            calibration=None,
            thresholds={},
        )
        network = _Mean([one.model for one in members], temperature)
        super().__init__(dataclasses.replace(first, manifest=manifest, network=network), threads=threads)

    def probabilities(self, sentences: Sequence[Columns]) -> list[npt.NDArray[np.float32]]:
        """Return the mean of the distributions at each token of each sentence, [T_i, K]."""
        ids, parts = self._encode(sentences)
        lengths, longest = [len(one) for one in ids], self.model.manifest.max_length
        found = [np.zeros((n, len(self.model.tags)), np.float32) for n in lengths]

        def compute(rows: list[int]) -> None:
            if lengths[rows[0]] > longest:
                logits = self._logits(ids[rows[0]], parts)[None]
            else:
                logits = self._compute_logits([ids[i] for i in rows], parts)
            for i, one in zip(rows, logits, strict=True):
                found[i][:] = np.exp(one[: lengths[i]])

        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(compute, batches_by_length(lengths, longest, self._batch_tokens)):
                pass
        return found

    def _encode(self, sentences: Sequence[Columns]) -> tuple[list[Ids], Any]:
        """Return the ids of all members beside each other, [T, sum of their columns], and the part of each member."""
        encoded = [member._encode(sentences) for member in self._members]
        parts, end = list[_Part](), 0
        for ids, forms in encoded:
            width = 1 if not ids or ids[0].ndim == 1 else ids[0].shape[1]
            parts.append(_Part(end, end + width, is_flat=not ids or ids[0].ndim == 1, forms=forms))
            end += width
        joined: list[Ids] = [
            np.concatenate([one[:, None] if one.ndim == 1 else one for one in rows], axis=1)
            for rows in zip(*(ids for ids, _ in encoded), strict=True)
        ]
        return joined, parts


@dataclasses.dataclass(frozen=True)
class _Part:
    """What a member of an ensemble reads of the ids of all members.

    Attributes:
        start, end: its columns.
        is_flat: whether its network reads token ids [T] instead of columns of ids [T, C].
        forms: as its own predictor encodes them.
    """

    start: int
    end: int
    is_flat: bool
    forms: Any

    def of(self, sentences: Sequence[Ids]) -> list[Ids]:
        """Return the ids of the member."""
        return [ids[:, self.start] if self.is_flat else ids[:, self.start : self.end] for ids in sentences]


class _Mean:
    """The network of an ensemble: the logarithms of the mean of the distributions of its models."""

    def __init__(self, models: Sequence[Model[ComputeLogits]], temperature: float) -> None:
        self._networks, self._temperature = [model.network for model in models], temperature
        tags = models[0].tags.tags
        self._orders = [np.array([model.tags.tags.index(tag) for tag in tags]) for model in models]

    def __call__(self, sentences: Sequence[Ids], parts: Any) -> Logits:
        """Compute the logits [B, T, K]; `parts` are the `_Part` of each model, in the place of the forms of one."""
        lengths = np.array([len(ids) for ids in sentences], np.int32)
        found = list[npt.NDArray[np.float64]]()
        for network, order, part in zip(self._networks, self._orders, parts, strict=True):
            logits = network(part.of(sentences), part.forms)
            transitions = getattr(network, "transitions", None)
            found.append(distributions(logits, lengths, transitions, self._temperature)[..., order])
        mean: Logits = np.log(np.maximum(np.mean(found, axis=0), _LEAST)).astype(np.float32)
        return mean
