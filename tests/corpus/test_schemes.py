from __future__ import annotations

import doctest
import itertools
import re

import pytest
from helpers import spans_of_seqeval
from hypothesis import example, given
from hypothesis import strategies as st
from seqscore.encoding import get_encoding
from seqscore.model import Mention
from seqscore.model import Span as SeqscoreSpan
from seqscore.validation import validate_labels

from tagger.corpus import schemes
from tagger.corpus.schemes import (
    NO_SCHEME,
    SCHEME_NAMES,
    SCHEMES,
    UNKNOWN,
    Converter,
    Span,
    convert,
    is_legal,
    legal_transitions,
    spans_from_tags,
    split_tag,
    tags_from_spans,
)

LOSSLESS = [name for name in SCHEMES if name != "IO"]
SEQSCORE_NAMES = {"IOB1": "IOB", "IOB2": "BIO", "IOBES": "BIOES", "BILOU": "BILOU", "IO": "IO"}
TYPES = ["PER", "LOC", "_", "art-film", "語"]


@st.composite
def sentences(draw: st.DrawFn) -> tuple[list[Span], int]:
    """Draw spans in order, many of them adjacent, and the length of their sentence."""
    spans, end = [], 0
    for gap, length, entity_type in draw(
        st.lists(st.tuples(st.sampled_from([0, 0, 1, 2]), st.integers(1, 4), st.sampled_from(TYPES)), max_size=6)
    ):
        spans.append(Span(entity_type, end + gap, end + gap + length))
        end += gap + length
    return spans, end + draw(st.integers(0, 2))


def any_tags(prefixes: str) -> st.SearchStrategy[list[str]]:
    """Return a strategy for tag sequences with these prefixes, legal or not."""
    tags = st.builds("{}-{}".format, st.sampled_from(prefixes), st.sampled_from(TYPES[:3]))
    return st.lists(st.one_of(st.just("O"), tags, tags, tags), max_size=9)


def merged(spans: list[Span], length: int) -> list[Span]:
    """Return the spans that IO can express: each run of tokens of one type becomes one span."""
    types: list[str | None] = [None] * length
    for span in spans:
        types[span.start : span.end] = [span.type] * (span.end - span.start)
    result, start = [], 0
    for entity_type, run in itertools.groupby(types):
        n = len(list(run))
        if entity_type is not None:
            result.append(Span(entity_type, start, start + n))
        start += n
    return result


def test_the_docstring_examples_hold() -> None:
    results = doctest.testmod(schemes)
    assert results.attempted > 0
    assert results.failed == 0


def test_the_names_of_all_schemes() -> None:
    assert SCHEME_NAMES == ("IOB1", "IOB2", "IOE1", "IOE2", "IOBES", "BILOU", "BIOS", "BIOE", "IO", "none")
    assert {name: "".join(sorted(scheme.prefixes)) for name, scheme in SCHEMES.items()} == {
        "IOB1": "BI",
        "IOB2": "BI",
        "IOE1": "EI",
        "IOE2": "EI",
        "IOBES": "BEIS",
        "BILOU": "BILU",
        "BIOS": "BIS",
        "BIOE": "BEI",
        "IO": "I",
    }


# --- Writing spans as tags -----------------------------------------------------------------------------------------

SPANS = [Span("a", 0, 1), Span("a", 1, 4), Span("b", 4, 6), Span("a", 7, 8), Span("b", 8, 9), Span("b", 9, 10)]


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("IOB1", "I-a B-a I-a I-a I-b I-b O I-a I-b B-b O"),
        ("IOB2", "B-a B-a I-a I-a B-b I-b O B-a B-b B-b O"),
        ("IOE1", "E-a I-a I-a I-a I-b I-b O I-a E-b I-b O"),
        ("IOE2", "E-a I-a I-a E-a I-b E-b O E-a E-b E-b O"),
        ("IOBES", "S-a B-a I-a E-a B-b E-b O S-a S-b S-b O"),
        ("BILOU", "U-a B-a I-a L-a B-b L-b O U-a U-b U-b O"),
        ("BIOS", "S-a B-a I-a I-a B-b I-b O S-a S-b S-b O"),
        ("BIOE", "B-a B-a I-a E-a B-b E-b O B-a B-b B-b O"),
        ("IO", "I-a I-a I-a I-a I-b I-b O I-a I-b I-b O"),
    ],
)
def test_every_kind_of_span_is_written_correctly_in_each_scheme(scheme: str, tags: str) -> None:
    assert tags_from_spans(SPANS, 11, scheme) == tags.split()


@given(sentences())
def test_tags_agree_with_seqscore(sentence: tuple[list[Span], int]) -> None:
    spans, length = sentence
    mentions = [Mention(SeqscoreSpan(span.start, span.end), span.type) for span in spans]
    for scheme, name in SEQSCORE_NAMES.items():
        assert tags_from_spans(spans, length, scheme) == list(get_encoding(name).encode_mentions(mentions, length))


@pytest.mark.parametrize(("scheme", "mirrored"), [("IOE1", "IOB"), ("IOE2", "BIO")])
@given(sentence=sentences())
def test_the_schemes_that_mark_ends_are_iob_read_backwards(
    scheme: str, mirrored: str, sentence: tuple[list[Span], int]
) -> None:
    spans, length = sentence
    backwards = [Mention(SeqscoreSpan(length - s.end, length - s.start), s.type) for s in reversed(spans)]
    expected = [tag.replace("B-", "E-") for tag in get_encoding(mirrored).encode_mentions(backwards, length)][::-1]
    assert tags_from_spans(spans, length, scheme) == expected


@given(sentences())
def test_bios_and_bioe_are_iobes_without_one_of_its_prefixes(sentence: tuple[list[Span], int]) -> None:
    spans, length = sentence
    mentions = [Mention(SeqscoreSpan(span.start, span.end), span.type) for span in spans]
    iobes = get_encoding("BIOES").encode_mentions(mentions, length)
    assert tags_from_spans(spans, length, "BIOS") == [re.sub("^E-", "I-", tag) for tag in iobes]
    assert tags_from_spans(spans, length, "BIOE") == [re.sub("^S-", "B-", tag) for tag in iobes]


@pytest.mark.parametrize(
    "spans",
    [
        [Span("a", 0, 2), Span("a", 1, 3)],  # overlap
        [Span("a", 2, 3), Span("a", 0, 1)],  # not in order
        [Span("a", 3, 5)],  # beyond the end
        [Span("a", 1, 1)],  # empty
        [Span("a", -1, 1)],
    ],
)
def test_impossible_spans_are_refused(spans: list[Span]) -> None:
    with pytest.raises(ValueError, match="inside a sentence of 4 tokens"):
        tags_from_spans(spans, 4, "IOB2")


# --- Reading tags as spans -----------------------------------------------------------------------------------------


@given(sentences())
def test_spans_are_recovered_from_their_tags(sentence: tuple[list[Span], int]) -> None:
    spans, length = sentence
    for scheme in LOSSLESS:
        assert spans_from_tags(tags_from_spans(spans, length, scheme)) == spans


@given(sentences())
@example(([Span("a", 0, 1), Span("a", 1, 2), Span("b", 2, 3)], 3))
def test_io_merges_only_adjacent_spans_of_one_type(sentence: tuple[list[Span], int]) -> None:
    spans, length = sentence
    assert spans_from_tags(tags_from_spans(spans, length, "IO")) == merged(spans, length)


@given(any_tags("BIES"))
@example(["E-PER", "I-PER", "E-PER", "E-PER", "S-PER", "I-PER", "E-LOC"])
def test_any_iobes_tags_are_read_as_seqeval_reads_them(tags: list[str]) -> None:
    expected = [Span(entity_type, start, last + 1) for entity_type, start, last in spans_of_seqeval(tags)]
    assert spans_from_tags(tags) == expected


@given(any_tags("BILU"))
def test_bilou_tags_are_read_like_the_corresponding_iobes_tags(tags: list[str]) -> None:
    same = [tag.replace("L-", "E-").replace("U-", "S-") if tag[0] in "LU" else tag for tag in tags]
    expected = [Span(entity_type, start, last + 1) for entity_type, start, last in spans_of_seqeval(same)]
    assert spans_from_tags(tags) == expected


@pytest.mark.parametrize("encoding_name", ["BIO", "IOB"])
@given(tags=any_tags("BI"))
@example(tags=["I-PER", "B-PER", "I-LOC", "B-PER", "O", "I-PER", "I-PER"])
def test_any_iob_tags_are_read_as_seqscore_reads_them_with_conlleval_repair(
    encoding_name: str, tags: list[str]
) -> None:
    encoding = get_encoding(encoding_name)
    repaired = encoding.repair_labels(tags, "conlleval")
    mentions = encoding.decode_labels(repaired) if tags else []
    assert spans_from_tags(tags) == [Span(m.type, m.span.start, m.span.end) for m in mentions]


# --- Conversion ----------------------------------------------------------------------------------------------------


@given(sentences())
def test_conversion_between_any_two_schemes_keeps_spans_and_can_be_reversed(
    sentence: tuple[list[Span], int],
) -> None:
    spans, length = sentence
    for source, target in itertools.product(LOSSLESS, LOSSLESS):
        tags = tags_from_spans(spans, length, source)
        converted = convert(tags, source, target)
        assert spans_from_tags(converted) == spans
        assert converted == tags_from_spans(spans, length, target)
        assert convert(converted, target, source) == tags


@given(sentences())
def test_conversion_to_and_from_io_keeps_the_merged_spans(sentence: tuple[list[Span], int]) -> None:
    spans, length = sentence
    for scheme in LOSSLESS:
        io_tags = convert(tags_from_spans(spans, length, scheme), scheme, "IO")
        assert spans_from_tags(convert(io_tags, "IO", scheme)) == merged(spans, length)


@pytest.mark.parametrize("scheme", SCHEME_NAMES)
def test_conversion_to_the_same_scheme_repairs_nothing(scheme: str) -> None:
    tags = ["I-a", "O", "B-a", "I-b", "E-b"]
    converted = convert(tags, scheme, scheme)
    assert converted == tags
    assert converted is not tags


@pytest.mark.parametrize("target", ["IOBES", "BILOU", "IOB1"])
@given(tags=any_tags("BI"))
def test_conversion_of_ill_formed_tags_is_well_formed(target: str, tags: list[str]) -> None:
    converted = convert(tags, "IOB2", target)
    assert validate_labels(converted, get_encoding(SEQSCORE_NAMES[target])).is_valid()
    assert spans_from_tags(converted) == spans_from_tags(tags)


# --- Legal transitions ---------------------------------------------------------------------------------------------


def legal(tags: tuple[str, ...], scheme: str) -> bool:
    """Return whether the table allows every pair of adjacent tags; O stands for both edges of the sentence."""
    transitions = legal_transitions(scheme)
    return all(is_legal(a, b, transitions) for a, b in itertools.pairwise(["O", *tags, "O"]))


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_tags_are_legal_exactly_if_their_spans_yield_the_same_tags(scheme: str) -> None:
    alphabet = ["O", *(f"{p}-{t}" for p in sorted(SCHEMES[scheme].prefixes) for t in "ab")]
    n_legal = 0
    for length in range(5):
        for tags in itertools.product(alphabet, repeat=length):
            well_formed = tags_from_spans(spans_from_tags(tags), length, scheme) == list(tags)
            assert legal(tags, scheme) == well_formed, tags
            n_legal += well_formed
    assert n_legal > 50


@pytest.mark.parametrize("scheme", list(SEQSCORE_NAMES))
def test_tags_are_legal_exactly_if_seqscore_finds_them_valid(scheme: str) -> None:
    encoding = get_encoding(SEQSCORE_NAMES[scheme])
    alphabet = ["O", *(f"{p}-{t}" for p in sorted(SCHEMES[scheme].prefixes) for t in "ab")]
    for length in range(5):  # two inner tags in a row need a span of four tokens
        for tags in itertools.product(alphabet, repeat=length):
            assert legal(tags, scheme) == validate_labels(tags, encoding).is_valid(), tags


def test_the_legal_transitions_of_iob2_by_hand() -> None:
    assert legal_transitions("IOB2") == {
        ("O", "O", False),
        ("O", "B", False),
        ("B", "O", False),
        ("I", "O", False),
        ("B", "B", True),
        ("B", "B", False),
        ("I", "B", True),
        ("I", "B", False),
        ("B", "I", True),
        ("I", "I", True),
    }


def test_plain_tags_have_no_illegal_transitions() -> None:
    with pytest.raises(ValueError, match="plain tags"):
        legal_transitions(NO_SCHEME)


@pytest.mark.parametrize(
    ("tag", "parts"),
    [("O", ("O", "")), ("B-PER", ("B", "PER")), ("I-art-film", ("I", "art-film")), ("S-_", ("S", "_"))],
)
def test_a_canonical_tag_is_split_at_its_first_hyphen(tag: str, parts: tuple[str, str]) -> None:
    assert split_tag(tag) == parts


@given(
    st.lists(
        st.lists(st.sampled_from([*(f"{p}-{t}" for p in "BIESLU" for t in ("X", "Y")), "O", UNKNOWN]), max_size=9),
        max_size=5,
    ),
    st.sampled_from(list(SCHEMES)),
    st.sampled_from(list(SCHEMES)),
)
def test_a_converter_converts_any_tags_as_convert_does(rows: list[list[str]], source: str, target: str) -> None:
    converter = Converter(source, target)
    for tags in rows * 2:
        assert converter.convert(tags) == convert(tags, source, target)
