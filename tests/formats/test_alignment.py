"""Spans are fitted to tokens, and every span that could not stay as it was is in the list."""

from __future__ import annotations

import collections
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.formats.alignment import DROPPED, REFUSED, Align, Case, Fitting, Overlap, fit, marked
from tagger.formats.document import Document, DocumentSpan, DocumentToken, Place

ALIGN: tuple[Align, ...] = ("error", "expand", "contract", "split", "drop")
OVERLAP: tuple[Overlap, ...] = ("error", "longest", "first", "outer", "inner")


def document(tokens: str, *spans: tuple[str, int, int]) -> Document:
    """Make a document from tokens between blanks, and sentences between `/`; `_` joins two tokens without a blank."""
    text, sentences, end = "", [], 0
    for sentence in tokens.split(" / "):
        row = []
        for word in sentence.split(" "):
            text += " " if text else ""
            for part in word.split("_"):
                end = len(text)
                text += part
                row.append(DocumentToken(end, len(text)))
        sentences.append(tuple(row))
    return Document(
        text=text,
        spans=tuple(DocumentSpan(*span) for span in spans),
        sentences=tuple(sentences),
        place=Place("train.jsonl", 3),
    )


def shown(found: Document) -> list[str]:
    return [f"{span.type} {found.covered(span)}" for span in found.spans]


def words(found: Document) -> str:
    assert found.sentences is not None
    return " / ".join(" ".join(found.covered(token) for token in sentence) for sentence in found.sentences)


ACME = document("we met Acme Inc. in Bonn", ("ORG", 7, 15), ("LOC", 20, 24))


@pytest.mark.parametrize(
    ("align", "spans", "tokens", "message"),
    [
        ("error", ["LOC Bonn"], "we met Acme Inc. in Bonn", "; nearest token edges: 'Acme' (7 to 11) or 'Acme Inc.' (7 to 16)"),
        ("expand", ["ORG Acme Inc.", "LOC Bonn"], "we met Acme Inc. in Bonn", "; expanded → 'Acme Inc.'"),
        ("contract", ["ORG Acme", "LOC Bonn"], "we met Acme Inc. in Bonn", "; contracted → 'Acme'"),
        ("split", ["ORG Acme Inc", "LOC Bonn"], "we met Acme Inc . in Bonn", "; split off → 'Acme Inc'"),
        ("drop", ["LOC Bonn"], "we met Acme Inc. in Bonn", "; dropped"),
    ],
)  # fmt: skip
def test_a_span_beside_token_edges(align: Align, spans: list[str], tokens: str, message: str) -> None:
    found, (case,) = fit(ACME, Fitting(align=align))
    assert shown(found) == spans
    assert words(found) == tokens
    assert str(case) == f"train.jsonl:3: we met [[Acme Inc]]. in Bonn: ORG ends inside a token{message}"
    assert (case.action == REFUSED) == (align == "error")


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (0, 3, "ends beside a token"),
        (2, 6, "begins beside a token"),
        (2, 7, "begins and ends beside a token"),
        (1, 5, "begins and ends inside a token"),
        (1, 2, "begins inside a token"),
        (1, 7, "begins inside a token and ends beside a token"),
        (2, 3, "covers no token"),
    ],
)
def test_the_reasons(start: int, end: int, reason: str) -> None:
    _, (case,) = fit(document("we met him", ("X", start, end)), Fitting())
    assert case.reason == reason


def test_a_span_in_one_token_cannot_be_contracted() -> None:
    found, (case,) = fit(document("a Berlin-based firm", ("LOC", 2, 8)), Fitting(align="contract"))
    assert found.spans == ()
    assert case.action == DROPPED


@pytest.mark.parametrize(
    ("align", "spans", "tokens", "action"),
    [
        ("error", [], "a b / c d e / f", REFUSED),
        ("expand", ["X b c d e"], "a b c d e / f", "kept in joined sentences"),
        ("contract", ["X c d e"], "a b / c d e / f", "contracted"),
        ("split", ["X b", "X c d e"], "a b / c d e / f", "cut at the ends of sentences"),
        ("drop", [], "a b / c d e / f", DROPPED),
    ],
)
def test_a_span_across_the_end_of_a_sentence(align: Align, spans: list[str], tokens: str, action: str) -> None:
    found, (case,) = fit(document("a b / c d e / f", ("X", 2, 9)), Fitting(align=align))
    assert (shown(found), words(found)) == (spans, tokens)
    assert (case.reason, case.action) == ("crosses the end of a sentence", action)


NESTED = document("a b c d e", ("IN", 2, 3), ("OUT", 0, 5), ("ONE", 4, 5), ("FAR", 6, 9))


@pytest.mark.parametrize(
    ("overlap", "spans", "reasons"),
    [
        ("error", ["OUT a b c", "FAR d e"], {("lies in another span", REFUSED): 2}),
        ("longest", ["OUT a b c", "FAR d e"], {("lies in another span", DROPPED): 2}),
        ("first", ["OUT a b c", "FAR d e"], {("lies in another span", DROPPED): 2}),
        ("outer", ["OUT a b c", "FAR d e"], {("lies in another span", DROPPED): 2}),
        ("inner", ["IN b", "ONE c", "FAR d e"], {("holds another span", DROPPED): 1}),
    ],
)
def test_nested_spans(overlap: Overlap, spans: list[str], reasons: dict[tuple[str, str], int]) -> None:
    found, cases = fit(NESTED, Fitting(overlap=overlap))
    assert shown(found) == spans
    assert collections.Counter((case.reason, case.action) for case in cases) == reasons


@pytest.mark.parametrize(
    ("overlap", "spans", "action"),
    [
        ("error", ["A a b"], REFUSED),
        ("outer", ["A a b"], REFUSED),
        ("inner", ["A a b"], REFUSED),
        ("longest", ["B b c d"], DROPPED),
        ("first", ["A a b"], DROPPED),
    ],
)
def test_spans_that_cross(overlap: Overlap, spans: list[str], action: str) -> None:
    found, (case,) = fit(document("a b c d", ("B", 2, 7), ("A", 0, 3)), Fitting(overlap=overlap))
    assert shown(found) == spans
    assert (case.reason, case.action) == ("overlaps another span", action)
    assert " overlaps another span ('" not in str(case), "the other span has its type"


@pytest.mark.parametrize(("overlap", "kept"), [("outer", "A"), ("inner", "B"), ("first", "A"), ("longest", "A")])
def test_of_two_spans_with_the_same_edges_the_first_is_the_outer_one(overlap: Overlap, kept: str) -> None:
    found, (case,) = fit(document("a b", ("A", 0, 1), ("B", 0, 1)), Fitting(overlap=overlap))
    assert [span.type for span in found.spans] == [kept]
    assert case.other is not None


def test_a_span_that_is_there_twice_is_not_an_error() -> None:
    found, (case,) = fit(document("a b", ("A", 0, 1), ("A", 0, 1)), Fitting())
    assert shown(found) == ["A a"]
    assert str(case) == "train.jsonl:3: [[a]] b: A is there twice; kept once"


def test_types_are_selected_before_anything_is_judged() -> None:
    found, cases = fit(NESTED, Fitting(types=frozenset({"IN", "FAR"})))
    assert shown(found) == ["IN b", "FAR d e"]
    assert {(case.reason, case.action) for case in cases} == {("has another type", "left out")}
    assert len(cases) == 2


def test_spans_may_stay_as_they_are() -> None:
    found = document("we met him", ("X", 1, 4), ("Y", 2, 5))
    assert fit(found, Fitting(align=None, overlap=None)) == (found, [])
    fitted, cases = fit(found, Fitting(align=None, overlap=None, types=frozenset("Y")))
    assert (fitted.spans, len(cases)) == (found.spans[1:], 1)


def test_a_document_without_tokens_keeps_its_edges() -> None:
    plain = Document(text="Acme Inc.", spans=(DocumentSpan("A", 1, 3), DocumentSpan("B", 2, 5)))
    found, (case,) = fit(plain, Fitting(overlap="longest"))
    assert found.spans == plain.spans[1:]
    assert case.reason == "overlaps another span"


def test_the_text_around_a_span_is_short_and_on_one_line() -> None:
    text = "x" * 50 + "\nAcme\n" + "y" * 50
    assert marked(text, DocumentSpan("A", 51, 55)) == f"…{'x' * 29} [[Acme]] {'y' * 29}…"
    assert len(marked("z" * 900, DocumentSpan("A", 0, 900))) < 100


TYPES = ("A", "B")


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Make documents of short tokens with and without blanks between them, in sentences that may be empty."""
    text, sentences = "", []
    for lengths in draw(st.lists(st.lists(st.integers(1, 3), max_size=4), max_size=3)):
        tokens = []
        for length in lengths:
            text += draw(st.sampled_from(["", " ", "  "]))
            tokens.append(DocumentToken(len(text), len(text) + length))
            text += "".join(draw(st.sampled_from("abé")) for _ in range(length))
        sentences.append(tuple(tokens))
    text += draw(st.sampled_from(["", " "]))
    edges = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).filter(lambda pair: pair[0] < pair[1])
    spans = draw(st.lists(st.tuples(st.sampled_from(TYPES), edges), max_size=5)) if text else []
    return Document(
        text=text,
        spans=tuple(DocumentSpan(name, start, end) for name, (start, end) in spans),
        sentences=tuple(sentences),
        place=Place("f", 1),
    )


def characters(part: DocumentSpan | DocumentToken) -> set[int]:
    return set(range(part.start, part.end))


def is_aligned(found: Document, span: DocumentSpan) -> bool:
    """Whether a span is a run of whole tokens of one sentence, by trying all runs."""
    assert found.sentences is not None
    return any(
        (tokens[i].start, tokens[j - 1].end) == (span.start, span.end)
        for tokens in found.sentences
        for i, j in itertools.combinations(range(len(tokens) + 1), 2)
    )


def of(cases: list[Case], *actions: str) -> int:
    return sum(case.action in actions for case in cases)


@given(documents(), st.sampled_from(ALIGN), st.sampled_from(OVERLAP), st.sampled_from([None, frozenset("A")]))
def test_the_result_is_well_formed_and_nothing_is_lost_without_a_case(
    found: Document, align: Align, overlap: Overlap, types: frozenset[str] | None
) -> None:
    fitted, cases = fit(found, Fitting(align=align, overlap=overlap, types=types))
    assert all(is_aligned(fitted, span) for span in fitted.spans)
    assert all(not characters(a) & characters(b) for a, b in itertools.combinations(fitted.spans, 2))
    assert fitted.text == found.text
    assert set().union(*map(characters, fitted.tokens)) == set().union(*map(characters, found.tokens))
    if align not in ("split", "expand"):
        assert fitted.sentences == found.sentences
    gone = of(cases, REFUSED, DROPPED, "left out", "kept once")
    more = sum(
        len(str(case.result).split(" / ")) - 1 for case in cases if case.action == "cut at the ends of sentences"
    )
    assert len(fitted.spans) == len(found.spans) - gone + more
    assert {id(case.span) for case in cases if case.reason != "has another type"} or types or fitted == found
    for case in cases:
        assert str(case).startswith("f:1: ")
    assert fit(fitted, Fitting())[1] == [], "a second time, nothing is left to do"


@given(documents(), st.sampled_from(ALIGN))
def test_a_single_span_gets_the_edges_that_brute_force_finds(found: Document, align: Align) -> None:
    found = Document(text=found.text, spans=found.spans[:1], sentences=(found.tokens,), place=found.place)
    if not found.spans:
        return
    (span,) = found.spans
    touched = [token for token in found.tokens if characters(token) & characters(span)]
    whole = [token for token in touched if characters(token) <= characters(span)]
    inside = {i for i in characters(span) if any(i in characters(token) for token in touched)}
    expected = {
        "expand": touched and (touched[0].start, touched[-1].end),
        "contract": whole and (whole[0].start, whole[-1].end),
        "split": inside and (min(inside), max(inside) + 1),
    }.get(align)
    if is_aligned(found, span):
        expected = span.start, span.end
    fitted, _ = fit(found, Fitting(align=align))
    assert [(one.start, one.end) for one in fitted.spans] == ([expected] if expected else [])


@given(documents())
def test_overlaps_are_resolved_as_brute_force_does(found: Document) -> None:
    spans = list(dict.fromkeys(found.spans))
    found = Document(text=found.text, spans=tuple(spans), place=found.place)

    def holds(a: DocumentSpan, b: DocumentSpan) -> bool:
        same = (a.start, a.end) == (b.start, b.end)
        return a is not b and (spans.index(a) < spans.index(b) if same else characters(a) >= characters(b))

    outer = [span for span in spans if not any(holds(other, span) for other in spans)]
    inner = [span for span in spans if not any(holds(span, other) for other in spans)]
    for overlap, expected in (("outer", outer), ("inner", inner)):
        _, cases = fit(found, Fitting(overlap=overlap))  # type: ignore[arg-type]
        dropped = [case.span for case in cases if case.action == DROPPED]
        assert sorted(map(id, dropped)) == sorted(id(span) for span in spans if span not in expected)
        crossing = any(characters(a) & characters(b) for a, b in itertools.combinations(expected, 2))
        assert any(case.action == REFUSED for case in cases) == crossing
    fitted, _ = fit(found, Fitting(overlap="longest"))
    for span in set(spans) - set(fitted.spans):
        assert any(
            len(characters(one)) >= len(characters(span)) and characters(one) & characters(span) for one in fitted.spans
        )
    fitted, _ = fit(found, Fitting(overlap="first"))
    for span in set(spans) - set(fitted.spans):
        assert any(one.start <= span.start and characters(one) & characters(span) for one in fitted.spans)
