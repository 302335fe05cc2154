"""Pretrained vectors that the embedding of the language models begins with.

Tokens of the text begin with their vectors. Those that only the vectors have are no part of the language models; they
join the result unchanged, so that a training knows them as well. If the embedding has more columns than the vectors,
the vectors are the first ones; the others are learned, and a token that only the vectors have gets those of the unknown
token there.
"""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import numpy.typing as npt

from tagger.inputs.vocabulary import UNK_ID, TokenVocabulary
from tagger.vectors.matching import Extension, extend_vocabulary
from tagger.vectors.table import Vectors


@dataclasses.dataclass(frozen=True)
class InitialVectors:
    """The vectors of the tokens of a text, and those of other tokens.

    Attributes:
        vectors: [N, D], the vectors.
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
        """Return a copy of an embedding [V, E ≥ D] with the vectors in the rows of tokens that have one."""
        rows = self.extension.rows[: self.n_ids]
        result = embedding.copy()
        result[rows >= 0, : self.vectors.dim] = self.vectors.table[rows[rows >= 0]]
        return result

    def trained(self, n_columns: int) -> npt.NDArray[np.float32]:
        """Return 1 at the numbers of an embedding [V, E] that are trained if the vectors are not, and 0 at theirs."""
        result = np.ones((self.n_ids, n_columns), np.float32)
        result[self.has_vector, : self.vectors.dim] = 0
        return result

    def joined(self, embedding: npt.NDArray[np.float32]) -> tuple[TokenVocabulary, npt.NDArray[np.float32]]:
        """Return the tokens of the text and the other ones, and the embedding [V and more, E] of all."""
        rows = self.extension.rows[self.n_ids :]
        others = np.tile(embedding[UNK_ID], (len(rows), 1))
        others[:, : self.vectors.dim] = self.vectors.table[rows]
        tokens = dataclasses.replace(self.extension.vocabulary, n_trained=None)
        return tokens, np.concatenate([embedding, others])


def described(vectors: Vectors | None) -> str | None:
    """Return what decides whether vectors are the same."""
    if vectors is None:
        return None
    digest = hashlib.sha256("\n".join(vectors.rows).encode("utf-8", "surrogatepass"))
    digest.update(np.ascontiguousarray(vectors.table).data)
    return f"{len(vectors)} vectors of size {vectors.dim}, SHA-256 {digest.hexdigest()}"
