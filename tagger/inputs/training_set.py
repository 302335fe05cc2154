"""The training sentences, batched anew each epoch: their order, and what is replaced by the unknown."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tagger.inputs.batching import Batch, Ids, bucketed_order, make_batch
from tagger.inputs.characters import Spellings
from tagger.inputs.encoder import FIRST_FEATURE, TOKEN
from tagger.inputs.vocabulary import UNK_ID


class Purpose(enum.IntEnum):
    """What a random draw is for. Every draw is a function of (seed, epoch, step, purpose) and nothing else."""

    ORDER = 0
    UNKNOWN = 1
    DROPOUT = 2
    UNKNOWN_FEATURE = 3
    UNKNOWN_CHARACTER = 4


def generator(seed: int, epoch: int, step: int, purpose: Purpose) -> np.random.Generator:
    """The generator of one draw."""
    return np.random.default_rng([seed, epoch, step, purpose])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unknowns:
    """What is replaced by the unknown now and then, so that the network learns what to make of unknown things.

    Attributes:
        rare: [V], true at the token ids that are replaced with `probability`.
        probability: of each occurrence.
        tokens: with which any token is replaced (word dropout), rare or not.
        characters: with which any character is.
        rare_characters: [C], true at the character ids that are replaced with `probability`.
        features: [n feature ids], for each the id of its column's unknown value if it is rare, else itself.
    """

    rare: npt.NDArray[np.bool_]
    probability: float
    tokens: float = 0.0
    characters: float = 0.0
    rare_characters: npt.NDArray[np.bool_] | None = None
    features: Ids | None = None

    def put_in(self, rows: Ids, generator_of: Callable[[Purpose], np.random.Generator]) -> Ids:
        """Encoded tokens [N] or [N, 2 + F], some ids replaced; those given stay as they are."""
        rows = rows.copy()
        ids = rows if rows.ndim == 1 else rows[:, TOKEN]
        if self.probability or self.tokens:
            drawn = generator_of(Purpose.UNKNOWN).random(len(ids))
            ids[drawn < np.where(self.rare[ids], max(self.probability, self.tokens), self.tokens)] = UNK_ID
        if self.features is not None and rows.ndim > 1 and self.probability:
            features = rows[:, FIRST_FEATURE:]
            replaced = generator_of(Purpose.UNKNOWN_FEATURE).random(features.shape) < self.probability
            features[replaced] = self.features[features[replaced]]
        return rows

    def put_in_spellings(self, spellings: Spellings, rng: np.random.Generator) -> Spellings:
        """Spellings with some characters replaced."""
        probabilities = np.full(len(spellings.characters), self.characters)
        if self.rare_characters is not None:
            rare = self.rare_characters[spellings.characters]
            probabilities[rare] = max(self.probability, self.characters)
        replaced = rng.random(len(probabilities)) < probabilities
        characters = np.where(replaced, np.int32(UNK_ID), spellings.characters)
        return dataclasses.replace(spellings, characters=characters)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Encoded training sentences, batched anew each epoch.

    Attributes:
        sentences: one array a sentence, as `make_batch` takes them.
        tag_ids: one array [T_i] a sentence.
        unknowns: what is replaced by the unknown.
        spellings: what the spellings in `sentences` are.
    """

    sentences: Sequence[Ids]
    tag_ids: Sequence[Ids]
    unknowns: Unknowns
    batch_size: int
    seed: int
    spellings: Spellings | None = None

    @functools.cached_property
    def lengths(self) -> Ids:
        """Of each sentence, in tokens."""
        return np.array([len(ids) for ids in self.sentences], np.int32)

    @functools.cached_property
    def n_rows(self) -> int:
        """Token ids below this one are all that batches can hold; no training changes the others' rows."""
        return 1 + max([UNK_ID, *(int((ids if ids.ndim == 1 else ids[:, TOKEN]).max()) for ids in self.sentences)])

    def order(self, epoch: int) -> list[npt.NDArray[np.intp]]:
        """Which sentences each batch of an epoch (from 0) holds."""
        rng = generator(self.seed, epoch, 0, Purpose.ORDER)
        return bucketed_order(self.lengths, self.batch_size, rng)

    def batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch (from 0) from the given one on: the same for the same seed, in any process."""
        lengths = self.lengths
        for step, rows in enumerate(self.order(epoch)[first:], first):
            draw = functools.partial(generator, self.seed, epoch, step)
            flat = self.unknowns.put_in(np.concatenate([self.sentences[i] for i in rows]), draw)
            sentences = np.split(flat, np.cumsum(lengths[rows])[:-1])
            batch = make_batch(sentences, [self.tag_ids[i] for i in rows], self.spellings)
            if batch.spellings is not None:
                spellings = self.unknowns.put_in_spellings(batch.spellings, draw(Purpose.UNKNOWN_CHARACTER))
                batch = dataclasses.replace(batch, spellings=spellings)
            yield batch
