"""Lines with marked spans, and the part of a long sentence that is shown."""

from __future__ import annotations

from tagger.corpus.schemes import Span
from tagger.report.sentences import Piece, line_of, shown_range


def test_a_line_holds_all_tokens_once_with_the_spans_marked() -> None:
    tokens = ["a", "b", "c", "d", "e"]
    spans = [Span("X", 0, 1), Span("Y", 1, 3)]
    line = line_of("gold", tokens, spans, {(1, 3): "missed"}, shown=(0, 5), probabilities={(0, 1): 0.5})
    assert line.pieces == [Piece("a", "X", "", 0.5), Piece("b c", "Y", "missed"), Piece("d e")]


def test_a_long_sentence_is_cut_around_its_errors_but_never_inside_a_span() -> None:
    tokens = [f"t{i}" for i in range(1000)]
    spans = [Span("X", 395, 405), Span("Y", 500, 501), Span("Z", 900, 901)]
    assert shown_range(tokens, spans, [(500, 501)]) == (395, 601)
    line = line_of("gold", tokens, spans, {}, shown=(395, 601))
    assert line.pieces[0] == Piece("…")
    assert line.pieces[-1] == Piece("…")
    assert [piece.type for piece in line.pieces if piece.type] == ["X", "Y"]
    assert shown_range(tokens[:200], spans[:1], [(199, 200)]) == (0, 200)
