"""Training sentences, batched again for each epoch: their order, and the ids that are replaced.

The replacement is the id of unknown tokens, characters or feature values.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tagger.inputs.batching import Batch, bucketed_order, make_batch
from tagger.inputs.characters import WordForms
from tagger.inputs.encoder import FIRST_FEATURE, TOKEN
from tagger.inputs.vocabulary import UNK_ID, Ids


class Purpose(enum.IntEnum):
    """The purpose of a random draw; every draw is a function of (seed, epoch, step, purpose) and nothing else."""

    ORDER = 0
    UNKNOWN = 1
    DROPOUT = 2
    UNKNOWN_FEATURE = 3
    UNKNOWN_CHARACTER = 4
    OTHERS = 5
    HIDDEN_MATCH = 6


def generator(seed: int, epoch: int, step: int, purpose: Purpose) -> np.random.Generator:
    """Return the random generator for one draw."""
    return np.random.default_rng([seed, epoch, step, purpose])


@dataclasses.dataclass(frozen=True)
class ListDropout:
    """The hiding of some matches of word lists, so that a network does not rely on lists to be complete.

    Attributes:
        rate: the probability with which a match is hidden: all of its tokens become tokens outside of matches. The
            matches of different lists are hidden independently.
        first: the index of the first list among the feature columns; the other lists follow.
        ids: [L, 3], the ids of the values in `LIST_VALUES` of each list.
    """

    rate: float
    first: int
    ids: Ids

    def apply(self, features: Ids, rng: np.random.Generator) -> None:
        """Hide some matches in the feature columns [N, F] of sentences, which are changed."""
        lists = features[:, self.first : self.first + len(self.ids)]
        outside, begin, inside = self.ids.T
        drawn = rng.random(lists.shape)
        # The tokens of a match share the draw of its first token.
        starts = np.where(lists == begin, np.arange(len(lists))[:, None], 0)
        shared = np.take_along_axis(drawn, np.maximum.accumulate(starts), axis=0)
        hidden = ((lists == begin) | (lists == inside)) & (shared < self.rate)
        lists[:] = np.where(hidden, outside, lists)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordDropout:
    """The replacement of some tokens, characters and features with unknown ones, to train on unknown input too.

    Attributes:
        rare: [V], true at the token ids that are replaced with `unk_probability`.
        unk_probability: the probability with which each occurrence of something rare is replaced.
        word_dropout: the probability with which any token is replaced, rare or not.
        character_dropout: the probability with which any character is replaced.
        rare_characters: [C], true at the character ids that are replaced with `unk_probability`.
        unknown_features: [n feature ids], for each feature id, the id that replaces it: that of its column's unknown
            value if it is rare, otherwise the id itself.
        lists: the hiding of matches of word lists; None without lists.
    """

    rare: npt.NDArray[np.bool_]
    unk_probability: float
    word_dropout: float = 0.0
    character_dropout: float = 0.0
    rare_characters: npt.NDArray[np.bool_] | None = None
    unknown_features: Ids | None = None
    lists: ListDropout | None = None

    def apply(self, rows: Ids, generator_of: Callable[[Purpose], np.random.Generator]) -> Ids:
        """Return encoded tokens, [N] or [N, 2 + F], with some ids replaced; `rows` itself does not change."""
        rows = rows.copy()
        ids = rows if rows.ndim == 1 else rows[:, TOKEN]
        if self.unk_probability or self.word_dropout:
            drawn = generator_of(Purpose.UNKNOWN).random(len(ids))
            of_rare = max(self.unk_probability, self.word_dropout)
            ids[drawn < np.where(self.rare[ids], of_rare, self.word_dropout)] = UNK_ID
        if self.unknown_features is not None and rows.ndim > 1 and self.unk_probability:
            features = rows[:, FIRST_FEATURE:]
            replaced = generator_of(Purpose.UNKNOWN_FEATURE).random(features.shape) < self.unk_probability
            features[replaced] = self.unknown_features[features[replaced]]
        if self.lists is not None and self.lists.rate:
            self.lists.apply(rows[:, FIRST_FEATURE:], generator_of(Purpose.HIDDEN_MATCH))
        return rows

    def apply_to_forms(self, forms: WordForms, rng: np.random.Generator) -> WordForms:
        """Return word forms with some characters replaced."""
        probabilities = np.full(len(forms.characters), self.character_dropout)
        if self.rare_characters is not None:
            rare = self.rare_characters[forms.characters]
            probabilities[rare] = max(self.unk_probability, self.character_dropout)
        replaced = rng.random(len(probabilities)) < probabilities
        characters = np.where(replaced, np.int32(UNK_ID), forms.characters)
        return dataclasses.replace(forms, characters=characters)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Encoded training sentences, batched again for each epoch.

    An epoch has all of the first sentences, and some of the others: the next ones of a fixed random order, which begins
    again when all have had their turn. So an epoch takes the same time however many others there are.

    Attributes:
        sentences: one array per sentence, as `make_batch` takes them.
        tag_ids: one array [T_i] per sentence.
        n_others: the number of sentences at the end that are the others.
        n_others_per_epoch: how many of them an epoch has.
        word_dropout: the replacement of tokens, characters and features with unknown ones.
        forms: the forms that `sentences` refer to.
    """

    sentences: Sequence[Ids]
    tag_ids: Sequence[Ids]
    word_dropout: WordDropout
    batch_size: int
    seed: int
    forms: WordForms | None = None
    n_others: int = 0
    n_others_per_epoch: int = 0

    @functools.cached_property
    def lengths(self) -> Ids:
        """The length of each sentence in tokens."""
        return np.array([len(ids) for ids in self.sentences], np.int32)

    @functools.cached_property
    def n_rows(self) -> int:
        """The number of embedding rows that training can change: batches hold only token ids below this number."""
        return 1 + max([UNK_ID, *(int((ids if ids.ndim == 1 else ids[:, TOKEN]).max()) for ids in self.sentences)])

    def order(self, epoch: int) -> list[npt.NDArray[np.intp]]:
        """Return the rows of the sentences in each batch of an epoch (from 0)."""
        rng = generator(self.seed, epoch, 0, Purpose.ORDER)
        rows = self.rows(epoch)
        return [rows[some] for some in bucketed_order(self.lengths[rows], self.batch_size, rng)]

    def rows(self, epoch: int) -> npt.NDArray[np.intp]:
        """Return the rows of the sentences of an epoch (from 0)."""
        n_first = len(self.lengths) - self.n_others
        first = np.arange(n_first)
        n = min(self.n_others_per_epoch, self.n_others)
        if not n:
            return first
        turns = (np.arange(n) + epoch * n) % self.n_others
        return np.concatenate([first, n_first + self._order_of_others[turns]])

    @functools.cached_property
    def _order_of_others(self) -> npt.NDArray[np.intp]:
        return generator(self.seed, 0, 0, Purpose.OTHERS).permutation(self.n_others)

    def n_tokens(self, epoch: int) -> int:
        """Return the number of tokens of an epoch (from 0)."""
        return int(self.lengths[self.rows(epoch)].sum())

    def batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch (from 0), beginning with batch `first` (from 0).

        The same seed gives the same batches in any process.
        """
        lengths = self.lengths
        for step, rows in enumerate(self.order(epoch)[first:], first):
            draw = functools.partial(generator, self.seed, epoch, step)
            flat = self.word_dropout.apply(np.concatenate([self.sentences[i] for i in rows]), draw)
            sentences = np.split(flat, np.cumsum(lengths[rows])[:-1])
            batch = make_batch(sentences, [self.tag_ids[i] for i in rows], self.forms)
            if batch.forms is not None:
                forms = self.word_dropout.apply_to_forms(batch.forms, draw(Purpose.UNKNOWN_CHARACTER))
                batch = dataclasses.replace(batch, forms=forms)
            yield batch
