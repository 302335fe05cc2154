"""Pretrained vectors that the embedding of the language models begins with.

Tokens of the text begin with their vectors. The other tokens of the vectors are no part of the language models; they
join the result, so that a training knows them as well. If the embedding has more columns than the vectors, the vectors
are the first ones; the others are learned, and a token that joins gets those of the unknown token there.
"""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import numpy.typing as npt

from tagger.inputs.vocabulary import UNK_ID, TokenVocabulary
from tagger.vectors.matching import Extension, extend_vocabulary
from tagger.vectors.table import Vectors, blocks_of


@dataclasses.dataclass(frozen=True)
class KnownVectors:
    """The vectors of the tokens of a text, and those of other tokens.

    Attributes:
        vectors: [N, D], the vectors.
        extension: the tokens that the language models know and after them the other ones, with their rows.
        n_ids: V, the number of ids that the language models know.
    """

    vectors: Vectors
    extension: Extension
    n_ids: int

    @classmethod
    def of(cls, tokens: TokenVocabulary, vectors: Vectors, max_rows: int | None) -> KnownVectors:
        """Find the vectors of the tokens of a text; add at most `max_rows` other tokens."""
        return cls(vectors, extend_vocabulary(tokens, vectors, max_rows), len(tokens))

    @property
    def dim(self) -> int:
        """D, the length of each vector."""
        return self.vectors.dim

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
            f"{self.extension.matches.coverage()}; {n_others:,} other tokens of the vectors join the result",
        ]

    def describe_range(self) -> str:
        """Return how large the numbers of the vectors are."""
        largest = max(float(np.abs(block).max()) for block in blocks_of(self.vectors.table))
        return f"numbers up to {largest:.6g}"

    def assigned_to(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return a copy of an embedding [V, E ≥ D] with the vectors in the rows of tokens that have one."""
        result, found = embedding.copy(), self.has_vector
        result[found, : self.dim] = self.vectors.table[self.extension.rows[: self.n_ids][found]]
        return result

    def joined(self, embedding: npt.NDArray[np.float32]) -> tuple[TokenVocabulary, npt.NDArray[np.float32]]:
        """Return the tokens of the text and the other ones, and the embedding [V and more, E] of all."""
        result = np.empty((len(self.extension.rows), embedding.shape[1]), np.float32)
        result[: self.n_ids] = embedding
        result[self.n_ids :] = embedding[UNK_ID]
        result[self.n_ids :, : self.dim] = self.vectors.table[self.extension.rows[self.n_ids :]]
        return dataclasses.replace(self.extension.vocabulary, n_trained=None), result


def described(vectors: Vectors) -> str:
    """Return what decides whether vectors are the same."""
    digest = hashlib.sha256()
    for token in vectors.rows:
        digest.update(f"{token}\n".encode("utf-8", "surrogatepass"))
    for block in blocks_of(vectors.table):
        digest.update(np.ascontiguousarray(block).data)
    return f"{len(vectors)} vectors of size {vectors.dim}, SHA-256 {digest.hexdigest()}"
