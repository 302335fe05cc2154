"""Pretrained vectors that the embedding of the language models begins with.

Tokens of the text begin with their vectors. Those that only the vectors have are no part of the language models; they
join the result unchanged, so that a training knows them as well.
"""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import numpy.typing as npt

from tagger.inputs.vocabulary import TokenVocabulary
from tagger.vectors.matching import Extension, extend_vocabulary
from tagger.vectors.table import Vectors


@dataclasses.dataclass(frozen=True)
class InitialVectors:
    """The vectors of the tokens of a text, and those of other tokens.

    Attributes:
        vectors: [N, E], the vectors.
        extension: the tokens of the text and after them those that only the vectors have, with their rows.
        n_ids: V, the number of ids that the language models know.
    """

    vectors: Vectors
    extension: Extension
    n_ids: int

    @classmethod
    def of(cls, tokens: TokenVocabulary, vectors: Vectors, max_rows: int | None) -> InitialVectors:
        """Find the vectors of the tokens of a text; add at most `max_rows` other tokens."""
        return cls(vectors, extend_vocabulary(tokens, vectors, max_rows), len(tokens))

    @property
    def has_vector(self) -> npt.NDArray[np.bool_]:
        """[V], true at the ids of the language models that have a vector."""
        return self.extension.rows[: self.n_ids] >= 0

    def notes(self) -> list[str]:
        """Return what there is to say about the vectors."""
        n_others = len(self.extension.rows) - self.n_ids
        return [
            *self.vectors.notes,
            *self.extension.notes,
            f"{self.extension.matches.coverage()}; {n_others:,} others join the result unchanged",
        ]

    def assigned_to(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return a copy of an embedding [V, E] with the vectors in place of the rows that have one."""
        rows = self.extension.rows[: self.n_ids]
        result = embedding.copy()
        result[rows >= 0] = self.vectors.table[rows[rows >= 0]]
        return result

    def joined(self, embedding: npt.NDArray[np.float32]) -> tuple[TokenVocabulary, npt.NDArray[np.float32]]:
        """Return the tokens of the text and the other ones, and the embedding [V and more, E] of all."""
        others = np.asarray(self.vectors.table[self.extension.rows[self.n_ids :]], np.float32)
        tokens = dataclasses.replace(self.extension.vocabulary, n_trained=None)
        return tokens, np.concatenate([embedding, others])


def described(vectors: Vectors | None) -> str | None:
    """Return what decides whether vectors are the same."""
    if vectors is None:
        return None
    digest = hashlib.sha256("\n".join(vectors.rows).encode("utf-8", "surrogatepass"))
    digest.update(np.ascontiguousarray(vectors.table).data)
    return f"{len(vectors)} vectors of size {vectors.dim}, SHA-256 {digest.hexdigest()}"
