from __future__ import annotations

import doctest
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.corpus import notation as notation_module
from tagger.corpus.notation import BadTag, Notation
from tagger.corpus.notation_detection import detect_notation, notation_of_other
from tagger.corpus.schemes import NO_SCHEME, SCHEMES, UNTYPED, Span, tags_from_spans
from tagger.errors import DataError


def tags(*sentences: str) -> list[list[str]]:
    return [sentence.split() for sentence in sentences]


def test_the_docstring_examples_hold() -> None:
    results = doctest.testmod(notation_module)
    assert results.attempted > 0
    assert results.failed == 0


# --- Detection -----------------------------------------------------------------------------------------------------

DETECTED = {
    "IOB1": (tags("I-PER I-PER O I-LOC B-LOC", "I-PER I-LOC"), Notation(scheme="IOB1")),
    "IOB2": (tags("B-PER I-PER O B-LOC B-LOC"), Notation(scheme="IOB2")),
    "IOB2, no I-": (tags("O B-PER"), Notation(scheme="IOB2")),
    "IOB2, a B- after another type": (tags("I-PER B-LOC"), Notation(scheme="IOB2")),
    "IOB2 with an I- after O": (tags("B-PER O I-LOC"), Notation(scheme="IOB2")),
    "IOBES": (tags("B-PER I-PER E-PER O S-LOC"), Notation(scheme="IOBES")),
    "IOBES, only S": (tags("O S-LOC"), Notation(scheme="IOBES")),
    "BILOU": (tags("B-PER I-PER L-PER O U-LOC"), Notation(scheme="BILOU")),
    "BILOU, no U": (tags("O B-LOC L-LOC"), Notation(scheme="BILOU")),
    "BMES": (tags("B-PER M-PER E-PER O S-LOC"), Notation(scheme="IOBES", prefixes={"I": "M"})),
    "BMES of words": (tags("B M M E S B E"), Notation(scheme="IOBES", prefixes={"I": "M"}, typed=False)),
    "IO": (tags("I-PER I-PER O I-LOC"), Notation(scheme="IO")),
    "bare B I O": (tags("B I O B", "O O B"), Notation(scheme="IOB2", typed=False)),
    "bare B I": (tags("B I B"), Notation(scheme="IOB2", typed=False)),
    "bare B I after O": (tags("I I O I B I"), Notation(scheme="IOB1", typed=False)),
    "B_PER": (tags("B_PER I_PER O"), Notation(scheme="IOB2", separator="_")),
    "B.PER": (tags("B.PER I.PER O"), Notation(scheme="IOB2", separator=".")),
    "B_PER-SON": (tags("B_PER-SON I_PER-SON O"), Notation(scheme="IOB2", separator="_")),
    "lower case": (
        tags("b-per i-per o"),
        Notation(scheme="IOB2", outside="o", prefixes={"B": "b", "I": "i"}),
    ),
    "lower-case bmes": (
        tags("b_per m_per e_per s_loc 0"),
        Notation(scheme="IOBES", outside="0", separator="_", prefixes={"B": "b", "I": "m", "E": "e", "S": "s"}),
    ),
    "IOE1": (tags("I-PER I-PER O I-LOC E-LOC I-LOC", "I-PER I-LOC"), Notation(scheme="IOE1")),
    "IOE2": (tags("I-PER E-PER O E-LOC E-LOC"), Notation(scheme="IOE2")),
    "IOE2, only E": (tags("O E-LOC O"), Notation(scheme="IOE2")),
    "BIOS": (tags("B-PER I-PER O S-LOC", "B-PER I-PER S-PER"), Notation(scheme="BIOS")),
    "BIOE": (tags("B-PER I-PER E-PER O B-LOC", "B-PER B-PER E-PER"), Notation(scheme="BIOE")),
    "IOBES without S": (tags("B-PER I-PER E-PER O B-LOC E-LOC"), Notation(scheme="IOBES")),
    "PER-B": (tags("PER-B PER-I O LOC-B"), Notation(scheme="IOB2", suffix=True)),
    "PER_I, - outside": (tags("PER_I PER_I - LOC_I"), Notation(scheme="IO", suffix=True, separator="_", outside="-")),
    "art-film.s": (
        tags("art-film.b art-film.e _ U-S.s _"),
        Notation(scheme="IOBES", suffix=True, separator=".", outside="_", prefixes={"B": "b", "E": "e", "S": "s"}),
    ),
    "_ outside": (tags("_ B-PER _"), Notation(scheme="IOB2", outside="_")),
    "OTHER outside": (tags("OTHER B-PER I-PER"), Notation(scheme="IOB2", outside="OTHER")),
    "no outside": (tags("no b-PER no"), Notation(scheme="IOB2", outside="no", prefixes={"B": "b"})),
    "the commoner of two words is outside only": (tags("NO NO B-PER NO"), Notation(scheme="IOB2", outside="NO")),
    "0 outside": (tags("0 B-PER 0"), Notation(scheme="IOB2", outside="0")),
    "only O": (tags("O O", "O"), Notation(scheme="IOB2")),
    "only 0": (tags("0 0"), Notation(scheme="IOB2", outside="0")),
    "no sentences": ([], Notation(scheme="IOB2")),
}


@pytest.mark.parametrize("case", list(DETECTED))
def test_notations_are_detected(case: str) -> None:
    sentences, expected = DETECTED[case]
    assert detect_notation(sentences) == (expected, [])


@pytest.mark.parametrize(
    ("scheme", "stray"),
    [
        ("IOB2", "S-PER"),
        ("IOB2", "L-PER"),
        ("IOBES", "U-PER"),
        ("BILOU", "E-PER"),
        ("BIOS", "E-PER"),
        ("IOE2", "B-PER"),
    ],
)
def test_a_stray_tag_does_not_change_the_scheme(scheme: str, stray: str) -> None:
    spans = [Span("PER", 0, 1), Span("LOC", 2, 5), Span("PER", 5, 7), Span("PER", 7, 8)]
    sentences = [tags_from_spans(spans, 9, scheme) for _ in range(20)]
    assert detect_notation(sentences)[0].scheme == scheme
    with pytest.raises(BadTag) as caught:
        detect_notation([*sentences, ["O", stray, "O"]])
    assert (caught.value.tags, caught.value.scheme) == ((stray,), scheme)
    assert caught.value.remedy.startswith("fix it, or")


@pytest.mark.parametrize(
    "spans", [[Span("PER", 0, 2), Span("LOC", 3, 4)], [Span("PER", 0, 1), Span("PER", 1, 3), Span("PER", 3, 4)]]
)
@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name != "IO"])
def test_a_few_ill_formed_tags_do_not_change_the_scheme(scheme: str, spans: list[Span]) -> None:
    spans = [*spans, Span("LOC", 5, 8), Span("LOC", 8, 9)]
    sentences = [tags_from_spans(spans, 10, scheme) for _ in range(20)]
    odd = {"BIOS": "B-LOC", "IOB1": "B-LOC", "IOE1": "E-LOC"}.get(scheme, "I-LOC")
    assert detect_notation([*sentences, ["O", odd, "O"], [odd]])[0].scheme == scheme


PARTS_OF_SPEECH = ["N-sg S-x B-pl S-x S-x", "S-x N-sg B-pl S-x", "B-pl S-x S-x", "N-sg B-pl S-x B-pl"]


def test_parts_of_speech_with_hyphens_are_plain_tags() -> None:
    for sentences in (tags(*PARTS_OF_SPEECH * 5), tags("NN VB-S NN S-x I-x DT") * 20, tags("S-x B-pl S-y B-pl") * 20):
        notation, notes = detect_notation(sentences)
        assert notation == Notation(scheme=NO_SCHEME)
        assert notes == ["most tags do not fit a scheme: read as plain tags (scheme none)"]


def test_plain_tags_that_end_in_letters_of_a_scheme_are_no_suffixes() -> None:
    for text in ("N-M V-S A-M", "N-B V-I A-S", "N-F V-S A-I N-B"):
        notation, notes = detect_notation(tags(text) * 20)
        assert notation == Notation(scheme=NO_SCHEME)
        assert notes == ["the tags have no prefixes: read as plain tags (scheme none)"]


@pytest.mark.parametrize("text", ["S-x S-x N-sg", "B-PER X X X O", "S-x B-pl B-pl S-x B-pl B-pl"])
def test_where_plain_tags_are_likely_the_remedy_names_them_first(text: str) -> None:
    with pytest.raises(BadTag) as caught:
        detect_notation(tags(text))
    assert caught.value.remedy == (
        "set data.scheme to none if these are plain tags, which have no spans; otherwise fix it"
    )


def test_an_unknown_word_for_outside_is_read_and_noted() -> None:
    notation, notes = detect_notation(tags("Leer Leer B-PER I-PER Leer") * 4)
    assert notation == Notation(scheme="IOB2", outside="Leer")
    assert notes == ["Leer is read as the outside tag: it is the only tag without a prefix"]
    assert notation.canonical("Leer") == "O"
    assert detect_notation(tags("Leer Leer Voll B-PER") * 10)[0] == Notation(scheme=NO_SCHEME)
    for text in ("Leer B-PER I-PER B-LOC", "Leer Leer O B-PER"):
        with pytest.raises(BadTag) as caught:
            detect_notation(tags(text) * 10)
        assert caught.value.tag == "Leer"
    with pytest.raises(BadTag):  # too few to be sure
        detect_notation(tags("Leer Leer B-PER I-PER Leer"))


def test_words_for_outside_without_prefixed_tags_are_ambiguous_only_if_common() -> None:
    assert detect_notation(tags("NN _ VB - DT OTHER"))[0] == Notation(scheme=NO_SCHEME)
    with pytest.raises(DataError, match="cannot tell"):
        detect_notation(tags("_ PER PER _ _"))
    assert detect_notation(tags("_ PER PER _ _ LOC"), "IO")[0] == Notation(scheme="IO", outside="_", bare=True)


def test_tags_without_prefixes_and_without_o_are_plain_tags() -> None:
    for sentences in (tags("NN VB NN", "DT"), tags("n v m"), tags("S L U"), tags("NOUN B I")):
        notation, notes = detect_notation(sentences)
        assert notation == Notation(scheme=NO_SCHEME)
        assert notes == ["the tags have no prefixes: read as plain tags (scheme none)"]


@pytest.mark.parametrize("sentences", [tags("PER PER O"), tags("NN O"), tags("0 LOC"), tags("S U O"), tags("B I X O")])
def test_tags_without_prefixes_together_with_an_outside_tag_are_ambiguous(sentences: list[list[str]]) -> None:
    with pytest.raises(DataError) as caught:
        detect_notation(sentences)
    assert caught.value.message == (
        "scheme: cannot tell whether tags without prefixes are spans or plain tags; set data.scheme to IO (each run of"
        " one tag is a span) or none (plain tags)"
    )
    assert caught.value.detail == (f"tags found: {', '.join(sorted(set(sentences[0])))}",)


@pytest.mark.parametrize("text", ["B-PER L-PER O S-LOC", "B-A E-A U-B", "B M E L", "B-A M-A L-A O"])
def test_prefixes_of_both_iobes_and_bilou_are_an_error(text: str) -> None:
    with pytest.raises(DataError) as caught:
        detect_notation(tags(text))
    assert caught.value.message == (
        "scheme: found the prefixes of both IOBES (E, S, M) and BILOU (L, U), expected one of them; set data.scheme,"
        " or fix the tags"
    )
    assert caught.value.detail == (f"tags found: {', '.join(sorted(set(text.split())))}",)


@pytest.mark.parametrize(
    ("text", "scheme", "bad_tag", "named_scheme"),
    [
        ("B-PER X-PER Y-PER O", "auto", "X-PER", "IOB2"),
        ("B-PER PER O", "auto", "PER", "IOB2"),
        ("B-PER B-", "auto", "B-", "IOB2"),
        ("B-PER B:LOC", "auto", "B:LOC", "IOB2"),
        ("B-PER S-LOC", "IOB2", "S-LOC", "IOB2"),
        ("B-PER E-PER", "BILOU", "E-PER", "BILOU"),
        ("I-PER B-PER", "IO", "B-PER", "IO"),
        ("NN VB", "IOB2", "NN", "IOB2"),
    ],
)
def test_the_first_tag_that_does_not_fit_is_named(text: str, scheme: str, bad_tag: str, named_scheme: str) -> None:
    with pytest.raises(BadTag) as caught:
        detect_notation(tags(text, "" if scheme != "auto" else "O B-PER"), scheme)
    assert (caught.value.tag, caught.value.scheme) == (bad_tag, named_scheme)


def test_the_scheme_that_the_user_names_is_used() -> None:
    assert detect_notation(tags("B-PER I-PER O"), "none") == (Notation(scheme=NO_SCHEME), [])
    assert detect_notation(tags("B-PER I-PER O"), "IOBES")[0].scheme == "IOBES"
    assert detect_notation(tags("I-PER O"), "IOB1")[0].scheme == "IOB1"
    assert detect_notation(tags("PER PER O LOC"), "IO") == (Notation(scheme="IO", bare=True), [])


def test_the_most_common_spelling_is_written_and_a_note_names_the_others() -> None:
    notation, notes = detect_notation(tags("B-PER I-PER B_PER B.PER I-LOC O O 0", "B-LOC i-LOC"))
    assert notation == Notation(scheme="IOB2")
    assert notes == [
        "0 is read as O",
        "B.PER is read as B-PER",
        "B_PER is read as B-PER",
        "i-LOC is read as I-LOC",
    ]


def test_spellings_are_counted_by_token() -> None:
    notation, notes = detect_notation(tags("B_PER B_PER B_PER B-LOC B-ORG b_PER 0 0 O"))
    assert notation == Notation(scheme="IOB2", outside="0", separator="_")
    assert notes == ["B-LOC is read as B_LOC", "B-ORG is read as B_ORG", "O is read as 0", "b_PER is read as B_PER"]


# --- The notation of a dev or test file --------------------------------------------------------------------------------

DEV = [Span("PER", 0, 2), Span("LOC", 3, 4), Span("LOC", 4, 5), Span("ORG", 6, 9)]


@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name != "IO"])
def test_a_dev_file_in_another_scheme_is_read_in_its_own(scheme: str) -> None:
    for trained in SCHEMES:
        found = notation_of_other([tags_from_spans(DEV, 10, scheme)] * 10, Notation(scheme=trained))
        assert found == Notation(scheme=scheme)


def test_a_dev_file_in_io_is_read_in_io_unless_the_scheme_of_the_training_file_fits_too() -> None:
    sentences = [tags_from_spans([Span("PER", 0, 2), Span("LOC", 3, 4)], 10, "IO")] * 10
    found = {scheme: notation_of_other(sentences, Notation(scheme=scheme)).scheme for scheme in SCHEMES}
    assert found == {scheme: scheme if scheme in ("IOB1", "IOE1") else "IO" for scheme in SCHEMES}


def test_a_dev_file_may_be_spelled_in_another_way() -> None:
    trained = Notation(scheme="IOB2", suffix=True, outside="_")
    assert notation_of_other(tags("B-PER I-PER O"), trained) == Notation(scheme="IOB2")
    assert notation_of_other(tags("PER_B PER-I O"), trained) == trained, "the separator and O fit any notation"


@pytest.mark.parametrize(
    "spelled", [Notation(scheme="IOB1", outside="_"), Notation(scheme="IOB2", suffix=True, outside="NO")]
)
def test_a_dev_file_with_another_word_for_outside_is_not_read_as_io(spelled: Notation) -> None:
    sentences = [[spelled.spell(tag) for tag in tags_from_spans(DEV, 10, spelled.scheme)]] * 10
    found = notation_of_other(sentences, Notation(scheme="IO"))
    assert (found.scheme, found.outside, found.suffix) == (spelled.scheme, spelled.outside, spelled.suffix)
    # Where no token is outside, there is nothing to tell.
    assert notation_of_other([["I-PER", "I-LOC"]] * 10, Notation(scheme="IO")) == Notation(scheme="IO")


def test_a_dev_file_that_is_too_small_to_tell_takes_the_notation_of_the_training_file() -> None:
    for text in ("I-PER I-PER O I-LOC", "O O", "B-PER", "I-LOC O I-LOC O I-LOC O I-LOC O I-LOC"):
        assert notation_of_other(tags(text), Notation(scheme="IOB2")) == Notation(scheme="IOB2")


def test_an_ill_formed_dev_file_keeps_the_scheme_of_the_training_file() -> None:
    sentences = [tags_from_spans(DEV, 10, "IOB2"), *tags("O I-PER O B-LOC O I-LOC")] * 10
    assert notation_of_other(sentences, Notation(scheme="IOB2")) == Notation(scheme="IOB2")


def test_a_stray_tag_of_a_dev_file_is_named_in_the_scheme_of_the_training_file() -> None:
    for stray, scheme in (("S-PER", "IOB2"), ("X", "IOBES"), ("", "IOB2")):
        sentences = [*[tags_from_spans(DEV, 10, scheme)] * 20, ["O", stray]]
        with pytest.raises(BadTag) as caught:
            notation_of_other(sentences, Notation(scheme=scheme))
        assert (caught.value.tags, caught.value.scheme) == ((stray,), scheme)


def test_a_dev_file_of_plain_tags_stays_plain() -> None:
    assert notation_of_other(tags("B-PER I-PER O"), Notation(scheme=NO_SCHEME)) == Notation(scheme=NO_SCHEME)
    with pytest.raises(BadTag):
        notation_of_other(tags("NN VB NN"), Notation(scheme="IOB2"))


# --- Reading and spelling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notation", "spelled_as"),
    [
        (Notation(scheme="IOB2"), {"B-PER": "B-PER", "I-art-film": "I-art-film", "B-_": "B-_", "O": "O"}),
        (Notation(scheme="IOB2", separator="_", outside="0"), {"B_PER": "B-PER", "I_a_b": "I-a_b", "0": "O"}),
        (Notation(scheme="IOB2", separator="."), {"B.PER": "B-PER", "I.a.b": "I-a.b"}),
        (Notation(scheme="IOBES", prefixes={"I": "M"}), {"M-a": "I-a", "B-a": "B-a", "E-a": "E-a", "S-a": "S-a"}),
        (Notation(scheme="IOBES", prefixes={"I": "m"}), {"m-M": "I-M"}),
        (Notation(scheme="IOB2", typed=False), {"B": "B-_", "I": "I-_", "O": "O"}),
        (Notation(scheme="IOB2", typed=False, prefixes={"B": "b"}, outside="o"), {"b": "B-_", "o": "O"}),
        (Notation(scheme="IO", bare=True), {"PER": "I-PER", "B": None, "O": "O", "0": None, "I-PER": None, "L": "I-L"}),
        (Notation(scheme="IOB2", suffix=True), {"PER-B": "B-PER", "a-I-I": "I-a-I", "B-I": "I-B", "O": "O"}),
        (Notation(scheme="IOBES", suffix=True, separator="_", prefixes={"E": "e"}), {"a_e": "E-a", "a_b_S": "S-a_b"}),
        (Notation(scheme="IOB2", outside="OTHER"), {"OTHER": "O", "B-OTHER": "B-OTHER", "O": None}),
        (Notation(scheme="IO", bare=True, outside="-"), {"OTHER": "I-OTHER", "-": "O"}),
        (Notation(scheme=NO_SCHEME), {"NN": "NN", "O": "O", "0": "0", "B_x": "B_x", "": ""}),
    ],
)
def test_canonical_tags_and_their_spelling(notation: Notation, spelled_as: Mapping[str, str | None]) -> None:
    for spelled, canonical in spelled_as.items():
        if canonical is not None:
            assert notation.canonical(spelled) == canonical
            assert notation.spell(canonical) == spelled


@pytest.mark.parametrize(
    ("scheme", "tag"),
    [
        ("IOB1", "S"),
        ("IOB2", "E-x"),
        ("IOB2", "PER"),
        ("IOB2", "-"),
        ("IOB2", "B-"),
        ("IOB2", "O-PER"),
        ("IOBES", "L-x"),
        ("BILOU", "E-x"),
        ("IO", "B-x"),
        ("IO", "B"),
    ],
)
def test_a_tag_that_does_not_fit_is_refused(scheme: str, tag: str) -> None:
    with pytest.raises(ValueError, match="^" + tag + "$"):
        Notation(scheme=scheme).canonical(tag)


@pytest.mark.parametrize(
    ("notation", "described"),
    [
        (Notation(scheme="IOB2"), "IOB2"),
        (Notation(scheme="IOB2", separator="_", outside="0"), "IOB2, spelled B_PER and I_PER and 0"),
        (Notation(scheme="IOBES", prefixes={"I": "M"}), "IOBES, spelled M-PER"),
        (Notation(scheme="IOB2", typed=False), "IOB2, spelled B and I"),
        (Notation(scheme="IO", bare=True), "IO, spelled PER"),
        (Notation(scheme="BIOS", suffix=True, outside="-"), "BIOS, spelled PER-B and PER-I and -"),
        (Notation(scheme="IOE1"), "IOE1"),
        (Notation(scheme="none"), "none"),
    ],
)
def test_an_unusual_spelling_is_described(notation: Notation, described: str) -> None:
    assert notation.describe() == described


def test_an_empty_tag_does_not_fit_any_scheme() -> None:
    for scheme in SCHEMES:
        with pytest.raises(ValueError, match=r"^$"):
            Notation(scheme=scheme).canonical("")


@st.composite
def uniform_files(draw: st.DrawFn) -> tuple[str, list[list[str]], list[list[str]]]:
    """Draw a scheme, canonical tags from which only this scheme can be detected, and these tags in one spelling."""
    scheme = draw(st.sampled_from(list(SCHEMES)))
    typed = draw(st.booleans()) or scheme == "IO"
    types = ["PER", "loc", "art-film", "a_b", "语"] if typed else [UNTYPED]
    spans, end = [Span(types[0], 1, 5)], 5  # has every prefix of a longer span
    for gap, length, entity_type in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(types)), max_size=5)
    ):
        spans.append(Span(entity_type, end + gap, end + gap + length))
        end += gap + length
    # A span of a single token, directly followed by a span of the same type: only there does IOB1 use B, and IOE1 E.
    spans += [Span(types[0], end + 1, end + 2), Span(types[0], end + 2, end + 3)]
    canonical = tags_from_spans(spans, end + 4, scheme)
    separator = draw(st.sampled_from("-_."))
    outside = draw(st.sampled_from(["O", "o", "0", "_", "-", "OTHER", "No"]))
    suffix = typed and draw(st.booleans())
    letters = {letter: letter for letter in "BIESLU"}
    if scheme == "IOBES" and draw(st.booleans()):
        letters["I"] = "M"
    if draw(st.booleans()):
        letters = {letter: spelled.lower() for letter, spelled in letters.items()}

    def spell(tag: str) -> str:
        if tag == "O":
            return outside
        parts = [letters[tag[0]], tag[2:]] if typed else [letters[tag[0]]]
        return separator.join(reversed(parts) if suffix else parts)

    return scheme, [canonical], [[spell(tag) for tag in canonical]]


@given(uniform_files())
def test_tags_in_one_spelling_become_canonical_and_are_spelled_as_before(
    file: tuple[str, list[list[str]], list[list[str]]],
) -> None:
    scheme, canonical, spelled = file
    notation, notes = detect_notation(spelled)
    assert notation.scheme == scheme
    assert notes == []
    assert [[notation.canonical(tag) for tag in sentence] for sentence in spelled] == canonical
    assert [[notation.spell(tag) for tag in sentence] for sentence in canonical] == spelled


@given(
    st.lists(st.sampled_from(["PER", "loc", "L", "S", "E", "M", "U", "x", "a-b", "O"]), min_size=1, max_size=8),
    st.sampled_from(["O", "0", "o"]),
)
def test_bare_io_is_spelled_as_before_for_any_names_of_its_types(types: list[str], outside: str) -> None:
    spelled = [outside if tag == "O" else tag for tag in types]
    notation, notes = detect_notation([spelled], "IO")
    canonical = [notation.canonical(tag) for tag in spelled]
    assert canonical == ["O" if tag == "O" else f"I-{tag}" for tag in types]
    assert notes == []
    assert [notation.spell(tag) for tag in canonical] == spelled


def test_plain_tags_are_not_changed() -> None:
    notation, _ = detect_notation(tags("B-x 0 o O NN"), "none")
    assert [notation.canonical(tag) for tag in ("B_x", "0", "o", "O")] == ["B_x", "0", "o", "O"]
    assert [notation.spell(tag) for tag in ("B_x", "0", "o", "O")] == ["B_x", "0", "o", "O"]
