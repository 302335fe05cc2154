"""The facts about a training that are known before its first step, and those about its steps and epochs."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tagger.corpus.dataset import Corpus
from tagger.corpus.schemes import NO_SCHEME, spans_from_tags
from tagger.evaluation.training_data import entities_of
from tagger.evaluation.unseen import entity_of
from tagger.training.history import EpochResult

if TYPE_CHECKING:
    from tagger.network.summary import LayerFacts  # imports TensorFlow


@dataclasses.dataclass(frozen=True)
class SetFacts:
    """The size of a training or dev set.

    Attributes:
        types: the number of entities of each type; empty for plain tags.
    """

    sentences: int
    tokens: int
    types: Mapping[str, int]

    @property
    def entities(self) -> int:
        """The number of entities."""
        return sum(self.types.values())


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """The data of a training.

    Attributes:
        train: the training set, without the sentences that are held out.
        dev: the dev set, or None without one.
        unseen: the share of the entities of dev that no entity of train equals in type and text; None if dev has none.
    """

    train: SetFacts
    dev: SetFacts | None = None
    unseen: float | None = None


def data_facts(train: Corpus, dev: Corpus | None) -> DataFacts:
    """Return the sizes of the training and the dev set, and how much of dev is new."""
    if dev is None:
        return DataFacts(_set_facts(train))
    if dev.notation.scheme == NO_SCHEME:
        return DataFacts(_set_facts(train), _set_facts(dev))
    known = entities_of(train)
    is_unseen = [
        entity_of(span, sentence.tokens) not in known
        for sentence, tags in zip(dev.sentences, dev.tags, strict=True)
        for span in spans_from_tags(tags)
    ]
    return DataFacts(_set_facts(train), _set_facts(dev), sum(is_unseen) / len(is_unseen) if is_unseen else None)


def _set_facts(corpus: Corpus) -> SetFacts:
    types: collections.Counter[str] = collections.Counter()
    if corpus.notation.scheme != NO_SCHEME:
        types.update(span.type for tags in corpus.tags for span in spans_from_tags(tags))
    return SetFacts(len(corpus), corpus.n_tokens, dict(sorted(types.items())))


@dataclasses.dataclass(frozen=True)
class Beginning:
    """A training that begins or continues.

    Attributes:
        seed: its seed, which tells the trainings of `--seeds` apart.
        epochs: the most epochs that it has.
        patience: the epochs without a better score before it ends; None if it has no early end.
        device: the name of the device.
        settings: the config by key, without paths, with the numbers that were chosen.
        layers: the layers of the network.
        history: the finished epochs, if it continues.
    """

    seed: int
    epochs: int
    patience: int | None
    device: str
    settings: Mapping[str, Any]
    data: DataFacts
    layers: Sequence[LayerFacts]
    history: Sequence[EpochResult] = ()


@dataclasses.dataclass(frozen=True)
class PretrainingSteps:
    """Where the pretraining is that a training begins with.

    Attributes:
        seed: the seed of the training.
        n_done: the steps that are done.
        n_steps: all of them.
        tokens_per_second: the speed.
    """

    seed: int
    n_done: int
    n_steps: int
    tokens_per_second: float


@dataclasses.dataclass(frozen=True)
class EpochStart:
    """An epoch (from 1) that begins or continues.

    Attributes:
        n_steps: the number of batches in the whole epoch.
        n_done: the number of them that are done already.
        n_tokens: the number of tokens that are still to come in it.
    """

    epoch: int
    epochs: int
    n_steps: int
    n_done: int
    n_tokens: int


@dataclasses.dataclass(frozen=True)
class Steps:
    """Some steps that were taken in one call.

    Attributes:
        n_done: the number of batches of the epoch that are done.
        n_tokens: the number of tokens in these steps.
        loss: their mean cross-entropy per token.
    """

    n_done: int
    n_tokens: int
    loss: float
