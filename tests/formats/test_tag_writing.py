from __future__ import annotations

import pytest
from documents import documents
from hypothesis import given
from hypothesis import strategies as st

from tagger.corpus.schemes import SCHEMES
from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, DocumentToken, WriteOptions
from tagger.formats.tag_writing import TagWriter, span_tags, tags_of


@given(documents(tokens=True), st.sampled_from(list(SCHEMES)))
def test_spans_are_tags_or_are_returned(document: Document, scheme: str) -> None:
    unfit: list[DocumentSpan] = []
    rows = span_tags(document.sentences or (), document.spans, scheme, unfit.append)
    # An oracle without any search: a span fits if its characters are those of a run of tokens in one sentence.
    runs = {
        (tokens[i].start, tokens[j].end)
        for tokens in document.sentences or ()
        for i in range(len(tokens))
        for j in range(i, len(tokens))
    }
    aligned = [span for span in document.spans if (span.start, span.end) in runs]
    kept = list(document.spans)
    for span in unfit:
        kept.remove(span)
    assert all(span in aligned for span in kept)
    assert all(a.end <= b.start or b.end <= a.start for i, a in enumerate(kept) for b in kept[i + 1 :])
    for span in unfit:
        assert span not in aligned or any(span.start < other.end and other.start < span.end for other in kept)
    assert [len(row) for row in rows] == [len(tokens) for tokens in document.sentences or ()]
    assert sum(tag != "O" for row in rows for tag in row) == sum(
        span.start <= token.start < span.end for span in kept for token in document.tokens
    )


def test_spans_need_a_scheme_of_spans() -> None:
    document = Document(text="a", spans=(DocumentSpan("A", 0, 1),), sentences=((DocumentToken(0, 1),),))
    with pytest.raises(DataError, match="found spans, expected plain tags for the scheme none; choose one of IOB1"):
        tags_of(document, "none", pytest.fail)


def test_a_token_without_a_plain_tag_among_others_gets_a_filler() -> None:
    document = Document(text="a b", sentences=((DocumentToken(0, 1, "X"), DocumentToken(2, 3)),))
    assert tags_of(document, "IOB2", pytest.fail) == [["X", "_"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a b", []),
        (" a\n b ", []),
        ("a - b", ["characters outside tokens are not kept"]),
        ("a b!", ["characters outside tokens are not kept"]),
    ],
)
def test_text_outside_tokens_is_reported(text: str, said: list[str]) -> None:
    a, b = text.index("a"), text.index("b")
    document = Document(text=text, sentences=((DocumentToken(a, a + 1), DocumentToken(b, b + 1)),))
    reports: list[str] = []
    writer = TagWriter(WriteOptions(report=lambda error: reports.append(str(error))))
    assert [sentence.tokens for sentence in writer.sentences(document)] == [["a", "b"]]
    assert reports == said
