"""The vocabulary of a text, and its windows as the language models read them."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tagger.architecture import Characters, NetworkSpec
from tagger.inputs.characters import CharacterVocabulary, WordForms, build_characters, encode_forms
from tagger.inputs.encoder import Encoder, Sizes
from tagger.inputs.vocabulary import N_RESERVED, PAD_ID, UNK_ID, Ids, Normalization, TokenVocabulary
from tagger.pretraining.streams import Streams
from tagger.pretraining.text_file import BOUNDARY, TextFile

_SAMPLES = 7  # the purpose of a random draw, beside those of training
_NO_TEXT = "\ufffd"  # what the network reads in place of a token that has no number of its own


class WindowArrays(NamedTuple):
    """One window of each stream; the arrays are those of `network.language_model.WindowTensors`."""

    distinct_ids: Ids
    id_rows: Ids
    casing: Ids
    characters: Ids
    character_lengths: Ids
    inputs: Ids
    targets: Ids
    samples: Ids
    sample_counts: Ids


@dataclasses.dataclass(frozen=True)
class TextVocabulary:
    """What the language models know about a text.

    Attributes:
        encoder: the vocabularies of tokens (the most frequent first) and characters.
        ids: [number of numbers], the token id of each number of the text; that of a boundary is `PAD_ID`.
        forms: the form of each number.
        frequencies: [V], the share of each id in the text, never 0; their sum is 1.
    """

    encoder: Encoder
    ids: Ids
    forms: WordForms
    frequencies: npt.NDArray[np.float64]

    @property
    def sizes(self) -> Sizes:
        """The sizes of the network's tables; it has no tags."""
        return self.encoder.sizes(0)


def build_text_vocabulary(
    text: TextFile,
    spec: NetworkSpec,
    normalization: Normalization,
    *,
    min_count: int,
    max_size: int | None,
    is_known: Callable[[str], bool] = lambda token: False,
) -> TextVocabulary:
    """Build the vocabulary of the tokens that occur at least `min_count` times, at most the `max_size` most frequent.

    A token for which `is_known` returns true needs to occur only once. A character is known if it occurs at least
    `min_count` times too.
    """
    counts: collections.Counter[str] = collections.Counter()
    by_form = text.counts[N_RESERVED:].tolist()
    for form, n in zip(text.forms, by_form, strict=True):
        counts[normalization(form)] += n
    kept = (token for token, n in counts.most_common(max_size) if n >= min_count or is_known(token))
    tokens = TokenVocabulary(tuple(kept), normalization)
    characters = None
    if spec.characters != Characters.NONE:
        characters = _characters_of(text.forms, by_form, min_count)
    ids = np.concatenate([[PAD_ID, UNK_ID], tokens.encode(text.forms)]).astype(np.int32)
    frequencies = np.maximum(np.bincount(ids, text.counts, minlength=len(tokens)), 0.5)
    return TextVocabulary(
        Encoder(tokens, characters, spec.casing),
        ids,
        encode_forms([_NO_TEXT, *text.forms], characters),
        frequencies / frequencies.sum(),
    )


def _characters_of(forms: tuple[str, ...], counts: list[int], min_count: int) -> CharacterVocabulary:
    known, _ = build_characters(forms)
    totals: collections.Counter[str] = collections.Counter()
    for form, n in zip(forms, counts, strict=True):
        for character in form:
            totals[character] += n
    return CharacterVocabulary(tuple(character for character in known.characters if totals[character] >= min_count))


class Windows:
    """The windows of a text as arrays, each a function of (seed, epoch, step) alone.

    Args:
        vocabulary: that of the text.
        streams: the text.
        n_samples: S, the number of tokens that are drawn for the softmax of a window.
    """

    def __init__(self, vocabulary: TextVocabulary, streams: Streams, n_samples: int) -> None:
        self.streams, self._vocabulary, self._n_samples = streams, vocabulary, n_samples
        self._ends = np.cumsum(vocabulary.frequencies)

    def __len__(self) -> int:
        """The number of windows of an epoch."""
        return self.streams.n_windows

    def window(self, epoch: int, step: int) -> WindowArrays:
        """Return the window of a step of an epoch, both from 0."""
        generator = np.random.default_rng([self.streams.seed, epoch, step, _SAMPLES])
        places = np.searchsorted(self._ends, generator.random(self._n_samples), side="right")
        samples, sample_counts = np.unique(np.minimum(places, len(self._ends) - 1), return_counts=True)
        both = np.stack(self.streams.window(epoch, step))  # [2, T + 1, B]
        inputs, ids = both[:, :-1], self._vocabulary.ids
        # The boundary is added, because its form has to be there, and to be the first.
        distinct, rows = np.unique(np.append(inputs, BOUNDARY), return_inverse=True)
        of_inputs, of_targets = ids[distinct], ids[both[:, 1:]]
        parts = [of_inputs, of_targets.ravel(), samples]
        distinct_ids, places = np.unique(np.concatenate(parts), return_inverse=True)
        id_rows, targets, drawn = np.split(places.astype(np.int32), np.cumsum([len(part) for part in parts[:-1]]))
        forms = self._vocabulary.forms.select(distinct)
        return WindowArrays(
            distinct_ids.astype(np.int32),
            id_rows,
            forms.casing,
            forms.characters,
            forms.lengths,
            rows[:-1].reshape(inputs.shape).astype(np.int32),
            targets.reshape(inputs.shape),
            drawn,
            sample_counts.astype(np.int32),
        )

    def from_step(self, epoch: int, step: int) -> Iterator[WindowArrays]:
        """Yield the windows of an epoch from a step on."""
        for i in range(step, len(self)):
            yield self.window(epoch, i)
