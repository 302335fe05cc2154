from __future__ import annotations

import pytest
from documents import documents, without_places
from hypothesis import given
from hypothesis import strategies as st

from tagger.corpus.schemes import SCHEME_NAMES, SCHEMES
from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, DocumentToken, Place, ReadOptions
from tagger.formats.tag_reading import Draft, read_tags
from tagger.formats.tag_writing import tags_of


@given(documents(tokens=True, flat=True), st.sampled_from(sorted(set(SCHEMES) - {"IO"})), st.booleans())
def test_flat_spans_come_back(document: Document, scheme: str, is_named: bool) -> None:
    rows = tags_of(document, scheme, pytest.fail)
    draft = Draft(document.text, document.place, document.sentences, rows)
    named = {"scheme": scheme} if is_named else {}
    if not is_named and scheme not in ("IOB2", "IOBES", "BILOU"):
        return  # these cannot always be told from others by a few tags
    assert without_places(read_tags([draft], ReadOptions(**named))) == [document]


def draft(*tags: str, text: str = "a b c") -> Draft:
    tokens = tuple(DocumentToken(2 * i, 2 * i + 1) for i in range(len(tags)))
    return Draft(text[: 2 * len(tags) - 1], Place("a.jsonl", 7), (tokens,), [list(tags)])


def test_a_prefix_that_comes_late_is_read() -> None:
    drafts = [draft("B-A", "I-A", "O")] * 1000 + [draft("S-A", "B-A", "E-A"), draft("B", "O", "O")]
    *_, before, last = read_tags(drafts, ReadOptions())
    assert before.spans == (DocumentSpan("A", 0, 1), DocumentSpan("A", 2, 5))
    assert last.spans == (DocumentSpan("_", 0, 1),)


def test_a_tag_that_does_not_fit_is_an_error_at_its_document() -> None:
    late = [draft("B-A", "I-A", "O")] * 1000 + [draft("person", "O", "O")]
    with pytest.raises(
        DataError, match=r"a\.jsonl:7: found the tag 'person', which does not fit the scheme IOB2; fix it"
    ):
        list(read_tags(late, ReadOptions()))
    early = (
        [draft("O")._replace(place=Place("a.jsonl", 1))] + [draft("B-A", "I-A", "O")] * 9 + [draft("person", "O", "O")]
    )
    with pytest.raises(DataError, match=r"a\.jsonl:7: found the tag 'person', which does not fit the scheme IOB2"):
        list(read_tags(early, ReadOptions()))
    with pytest.raises(DataError, match=r"a\.jsonl:7: found the tag 'S-A', which does not fit the scheme IOB2"):
        list(read_tags([draft("B-A"), draft("S-A")], ReadOptions(scheme="IOB2")))
    with pytest.raises(DataError, match=r"a\.jsonl: scheme: found the prefixes of both"):
        list(read_tags([draft("S-A", "U-A", "O")], ReadOptions()))


def test_a_question_mark_is_not_said_to_be_a_matter_of_a_setting_that_documents_do_not_have() -> None:
    for drafts in ([draft("B-A", "?", "O")] * 9, [draft("B-A", "I-A", "O")] * 1000 + [draft("?", "O", "O")]):
        with pytest.raises(
            DataError,
            match=r"a\.jsonl:7: found the tag '\?', which does not fit the scheme IOB2; expected a tag for each",
        ):
            list(read_tags(drafts, ReadOptions()))


@pytest.mark.parametrize("scheme", SCHEME_NAMES)
def test_plain_tags_are_read_and_written_as_they_are(scheme: str) -> None:
    notes: list[str] = []
    (found,) = read_tags([draft("NN", "VB", "NN")], ReadOptions(note=notes.append))
    assert [token.tag for token in found.tokens] == ["NN", "VB", "NN"]
    assert notes == ["the tags have no prefixes: read as plain tags (scheme none)"]
    assert tags_of(found, scheme, pytest.fail) == [["NN", "VB", "NN"]]
