"""Chosen sentences of documents and their rest: together they are the documents, with every token and span."""

from __future__ import annotations

import collections
import dataclasses

import pytest
from documents import documents, make
from hypothesis import given
from hypothesis import strategies as st
from stub_model import stub_predictor

from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan
from tagger.prediction.selection import Candidate, Selection
from tagger.prediction.unlabelled_documents import Part, UnlabelledDocuments


def chosen_of(unlabelled: UnlabelledDocuments, pool: list[Document], n: int) -> list[Candidate[Part]]:
    selection: Selection[Part] = Selection(n)
    unlabelled.add_to(selection, pool)
    return [one.candidate for one in selection.choose()]


def rest_of(unlabelled: UnlabelledDocuments, pool: list[Document], chosen: list[Candidate[Part]]) -> list[Document]:
    return list(unlabelled.rest(pool, chosen, pytest.fail, with_tokens=True))


@given(st.lists(documents(tokens=True, least=0), min_size=1, max_size=4), st.integers(1, 5), st.booleans())
def test_chosen_and_rest_are_the_documents(pool: list[Document], n: int, are_pieces: bool) -> None:
    # The name of a document says which one a piece is from; the offset says where it begins there.
    pool = [dataclasses.replace(one, id=str(i), is_piece=are_pieces) for i, one in enumerate(pool)]
    unlabelled = UnlabelledDocuments(stub_predictor(), "f")
    chosen = chosen_of(unlabelled, pool, n)
    rest = rest_of(unlabelled, pool, chosen)
    left_out = 0
    for original in pool:
        parts = [one.payload for one in chosen if one.payload.source.id == original.id]
        pieces = [one for one in rest if str(one.id).split(":")[0] == original.id]
        if not parts:
            assert pieces == [original]
            continue
        stretches = [(part.tokens[0].start, part.text) for part in parts]
        stretches += [(piece.offset, piece.text) for piece in pieces]
        text = "".join(piece for _, piece in sorted(stretches))
        if are_pieces:
            assert text == original.text
        assert "".join(text.split()) == "".join(original.text.split())
        words = [[original.covered(token) for token in part.tokens] for part in parts]
        words += [[piece.covered(token) for token in tokens] for piece in pieces for tokens in piece.sentences or ()]
        of_it = [[original.covered(token) for token in tokens] for tokens in original.sentences or ()]
        assert sorted(words) == sorted(of_it)
        edges = [(part.tokens[0].start, part.tokens[-1].end) for part in parts]
        outside = [
            span for span in original.spans if not any(start <= span.start and span.end <= end for start, end in edges)
        ]
        kept = [
            DocumentSpan(span.type, span.start + piece.offset, span.end + piece.offset)
            for piece in pieces
            for span in piece.spans
        ]
        assert not collections.Counter(kept) - collections.Counter(outside)
        left_out += len(outside) - len(kept)
    assert unlabelled.n_cut == left_out


def test_a_chosen_sentence_has_the_spans_of_the_model() -> None:
    document = make("EU left", "Peter Blackburn", spans=[("LOC", 8, 13)], id="7", fields={"source": "news"})
    unlabelled = UnlabelledDocuments(stub_predictor(), "f")
    chosen = chosen_of(unlabelled, [document], 2)
    found = sorted(map(unlabelled.document, (one.payload for one in chosen)), key=lambda one: str(one.id))
    assert [(one.id, one.text, one.fields) for one in found] == [
        ("7:1", "EU left", {"source": "news"}), ("7:2", "Peter Blackburn", {"source": "news"}),
    ]  # fmt: skip
    assert [[(span.type, span.start, span.end) for span in one.spans] for one in found] == [
        [("ORG", 0, 2)], [("PER", 0, 15)],
    ]  # fmt: skip


def test_documents_that_have_changed_are_an_error() -> None:
    unlabelled = UnlabelledDocuments(stub_predictor(), "f")
    chosen = chosen_of(unlabelled, [make("EU left"), make("Peter Blackburn")], 2)
    for changed in ([make("EU left")], [make("EU left"), make("Peter left")], []):
        with pytest.raises(DataError, match="changed while it was read"):
            rest_of(unlabelled, changed, chosen)


def test_texts_that_were_cut_into_tokens_come_back_without_them() -> None:
    tokens = make("EU left", "this is nothing")
    text = dataclasses.replace(tokens, sentences=None)
    unlabelled = UnlabelledDocuments(stub_predictor(), "f")
    chosen = chosen_of(unlabelled, [tokens], 1)
    (piece,) = unlabelled.rest([text], chosen, lambda _: tokens, with_tokens=False)
    left = [one for one in ("EU left", "this is nothing") if one != chosen[0].payload.text]
    assert (piece.text.strip(), piece.sentences) == (left[0], None)
    (piece,) = unlabelled.rest([text], chosen, lambda _: tokens, with_tokens=True)
    assert piece.sentences is not None
