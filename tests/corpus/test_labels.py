"""Labels that are renamed or left out: tags, counts and refusals, computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.corpus.labels import Labels, read_names
from tagger.corpus.schemes import SCHEMES, Span, spans_from_tags, tags_from_spans
from tagger.errors import DataError


@pytest.mark.parametrize(
    ("scheme", "before", "after"),
    [
        ("IOB2", "B-LOC I-LOC B-GPE I-GPE O B-MISC", "B-LOC I-LOC B-LOC I-LOC O O"),
        ("IOB1", "I-LOC I-LOC I-GPE I-GPE O I-MISC", "I-LOC I-LOC B-LOC I-LOC O O"),
        ("IOE1", "I-LOC I-LOC I-GPE I-GPE O I-MISC", "I-LOC E-LOC I-LOC I-LOC O O"),
        ("IOBES", "B-LOC E-LOC B-GPE E-GPE O S-MISC", "B-LOC E-LOC B-LOC E-LOC O O"),
        ("IO", "I-LOC I-LOC I-GPE I-GPE O I-MISC", "I-LOC I-LOC I-LOC I-LOC O O"),
        ("IOB2", "O I-GPE I-GPE I-LOC", "O I-LOC I-LOC B-LOC"),  # ill-formed: only the last prefix has to change
        ("IOB2", "O I-GPE I-GPE O", "O I-LOC I-LOC O"),  # ill-formed tags stay so
    ],
)
def test_types_are_renamed_then_kept_and_neighbors_stay_apart(scheme: str, before: str, after: str) -> None:
    labels = Labels(map={"GPE": "LOC"}, keep=("LOC",))
    ((tags,), notes) = labels.apply([before.split()], scheme)
    if before.startswith("O I-GPE I-GPE I-LOC"):
        assert spans_from_tags(tags) == [Span("LOC", 1, 3), Span("LOC", 3, 4)]
    else:
        assert tags == after.split()
    assert notes[0] == "data.labels: renamed GPE to LOC (1 span)"
    assert notes[1:2] == (["data.labels: left out MISC (1 span)"] if "MISC" in before else [])
    merged = (
        "data.labels: merged 1 span with the one before, because the scheme IO cannot separate neighbors of one type"
    )
    assert notes[2:] == ([merged] if scheme == "IO" else [])


@given(
    scheme=st.sampled_from(sorted(set(SCHEMES) - {"IO"})),
    parts=st.lists(st.tuples(st.sampled_from(["A", "B", "C", None]), st.integers(1, 3)), max_size=8),
)
def test_the_spans_are_those_of_the_rules_and_a_second_time_changes_nothing(scheme: str, parts: list[Any]) -> None:
    start, spans, expected = 0, [], []
    for name, length in parts:
        if name is not None:
            spans.append(Span(name, start, start + length))
        if name in ("A", "B"):
            expected.append(Span("A", start, start + length))
        start += length
    labels = Labels(map={"B": "A"}, keep=("A",))
    (changed, _) = labels.apply([tags_from_spans(spans, start, scheme)], scheme)
    assert spans_from_tags(changed[0]) == expected
    assert labels.apply(changed, scheme) == (changed, [])


def test_plain_tags_are_renamed_and_cannot_be_left_out() -> None:
    (tags, notes) = Labels(map={"NN": "N", "NNS": "N"}).apply([["NN", "VB", "NNS", "NN"]], "none")
    assert tags == [["N", "VB", "N", "N"]]
    assert notes == ["data.labels: renamed NN to N (2 tokens) and NNS to N (1 token)"]
    with pytest.raises(DataError, match=r"^data\.labels\.keep: found it with plain tags, .*; delete it, or rename"):
        Labels(keep=("N",)).apply([["N"]], "none")


def test_a_name_that_the_data_do_not_have_is_named_with_the_one_that_was_meant() -> None:
    tags = [["B-PER", "O", "B-GPE", "B-MISC"]]
    labels = Labels(map={"GPF": "LOC"}, keep=("per", "LOC", "XYZ"))
    assert labels.unknown(tags, "IOB2") == [
        "data.labels.map: found GPF, which the training data do not have, expected one of GPE, MISC, PER; did you mean"
        " GPE?",
        "data.labels.keep: found per, which the training data do not have, expected one of GPE, MISC, PER; did you mean"
        " PER?",
        "data.labels.keep: found LOC, which the training data do not have, expected one of GPE, MISC, PER; fix it, or"
        " delete it",
        "data.labels.keep: found XYZ, which the training data do not have, expected one of GPE, MISC, PER; fix it, or"
        " delete it",
    ]
    assert Labels(map={"GPE": "LOC"}, keep=("PER", "LOC")).unknown(tags, "IOB2") == []


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"map": {"A": "B", "B": "C"}}, "map: found A: B and B: C, expected names that are not renamed again"),
        ({"map": {"A": "B"}, "keep": ("A",)}, "keep: found A, which map renames to B, .*; keep B"),
        ({"map": {"A": "b c"}}, "map: found 'b c' for A, expected a name without blanks"),
        ({"keep": ("",)}, "found '', expected the name of a type"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}"):
        Labels(**rules)


def test_the_types_in_files_include_those_that_are_renamed() -> None:
    assert Labels(map={"GPE": "LOC", "X": "Y"}, keep=("LOC",)).types_in_files == {"GPE", "LOC"}
    assert Labels(map={"GPE": "LOC"}).types_in_files is None


def test_a_file_of_names_has_one_on_each_line(tmp_path: Path) -> None:
    (tmp_path / "names").write_bytes(b"\xef\xbb\xbfO\r\nB-work of art\r\n\r\nB-PER")
    assert read_names(tmp_path / "names") == ("O", "B-work of art", "B-PER")
