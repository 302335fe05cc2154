from __future__ import annotations

import doctest
import tempfile
from pathlib import Path
from typing import Any

import pytest
from documents import BETWEEN, TYPES, WORDS, read
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats import webanno
from tagger.formats.document import Document, DocumentSpan
from tagger.formats.webanno import FORMAT

NER = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value\n"
POS = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|PosValue\n"
HEAD = "#FORMAT=WebAnno TSV 3.3\n"
BRUNO = """
#Text=Bruno Lund went to Lindau .
1-1\t0-5\tBruno\t*[1]\tPER[1]\t
1-2\t6-10\tLund\t*[1]\tPER[1]\t
1-3\t11-15\twent\t_\t_\t
1-4\t16-18\tto\t_\t_\t
1-5\t19-25\tLindau\t*\tLOC\t
1-6\t26-27\t.\t_\t_\t
"""


def of(tmp_path: Path, text: str, **options: Any) -> tuple[list[Document], list[str]]:
    (tmp_path / "a.tsv").write_text(text, "utf-8", newline="")
    return read(FORMAT, tmp_path / "a.tsv", **options)


def test_spans_of_the_layer_of_entities_are_read(tmp_path: Path) -> None:
    notes: list[str] = []
    (found,), reports = of(tmp_path, HEAD + NER + "\n" + BRUNO, note=notes.append)
    assert (found.text, found.id) == ("Bruno Lund went to Lindau .", "a")
    assert found.spans == (DocumentSpan("PER", 0, 10), DocumentSpan("LOC", 19, 25))
    assert [found.covered(token) for token in found.tokens] == found.text.split()
    assert (notes, reports) == (["the spans are those of the layer NamedEntity, by value"], [])


@pytest.mark.parametrize("change", ["crlf", "bom", "blank lines", "no text"])
def test_the_same_document_in_other_bytes_is_the_same(tmp_path: Path, change: str) -> None:
    text = HEAD + NER + BRUNO
    (expected,), _ = of(tmp_path, text)
    changed = {
        "crlf": text.replace("\n", "\r\n"),
        "bom": "\ufeff" + text,
        "blank lines": text + "\n\n",
        "no text": text.replace("#Text=Bruno Lund went to Lindau .\n", ""),
    }[change]
    assert of(tmp_path, changed)[0] == [expected]


def test_stacked_partial_and_crossing_annotations_are_read(tmp_path: Path) -> None:
    rows = r"""
#Text=New York-based \\ a\tb
1-1	0-3	New	LOC[1]|ORG[2]
1-2	4-14	York-based	ORG[2]
1-2.1	4-8	York	LOC[1]
1-3	15-16	\\	a\|b
1-4	17-20	a\tb	_

#Text=Next
2-1	22-26	Next	*|X[3]

#Text=one
3-1	27-30	one	X[3]|\_
"""
    (found,), _ = of(tmp_path, HEAD + "#T_SP=custom.Span|kind\n" + rows)
    assert found.text == "New York-based \\ a\tb\n Next\none"
    assert [(span.type, found.covered(span)) for span in found.spans] == [
        ("LOC", "New York"), ("ORG", "New York-based"), ("a|b", "\\"), ("_", "Next"), ("X", "Next\none"), ("_", "one")
    ]  # fmt: skip


def test_discontinuous_annotations_are_reported(tmp_path: Path) -> None:
    rows = "\n#Text=a b c\n1-1\t0-1\ta\tX[1]\n1-2\t2-3\tb\t_\n1-3\t4-5\tc\tX[1]\n"
    (found,), reports = of(tmp_path, HEAD + "#T_SP=custom.Span|kind\n" + rows)
    assert (found.spans, reports) == ((), ["the discontinuous X 'a b c' is left out"])


@pytest.mark.parametrize(("start", "end"), [(3, 6), (2, 5)])
def test_offsets_are_utf_16_units_or_characters(tmp_path: Path, start: int, end: int) -> None:
    length = start - 1
    rows = f"\n#Text=💩 Ann\n1-1\t0-{length}\t💩\t_\n1-2\t{start}-{end}\tAnn\tPER\n"
    (found,), _ = of(tmp_path, HEAD + "#T_SP=x.NamedEntity|value\n" + rows)
    assert found.spans == (DocumentSpan("PER", 2, 5),)


def test_layers_and_features_are_chosen(tmp_path: Path) -> None:
    head = (
        HEAD
        + POS
        + "#T_SP=custom.Event|kind|sure\n"
        + NER
        + "#T_RL=custom.Rel|label|BT_custom.Event\n#T_SP=custom.Bare|\n"
    )
    rows = "\n#Text=Ann\n1-1\t0-3\tAnn\tNE\tgo[1]\tyes[1]\t*\tPER\t*\t1-1\t*\t\n"
    found, reports = of(tmp_path, head + rows)
    assert found[0].spans == (DocumentSpan("PER", 0, 3),)
    assert reports == [*(f"the layer {name} is not kept" for name in ("POS", "Event", "Rel", "Bare"))]
    assert of(tmp_path, head + rows, columns={"layer": "Event", "tag": "sure"})[0][0].spans == (
        DocumentSpan("yes", 0, 3),
    )
    assert of(tmp_path, head + rows, columns={"layer": "custom.Bare"})[0][0].spans == (DocumentSpan("_", 0, 3),)
    plain = of(tmp_path, head + rows, columns={"layer": "POS"})[0][0]
    assert ([token.tag for token in plain.tokens], plain.spans) == (["NE"], ())
    only = of(tmp_path, HEAD + POS + "\n#Text=Ann\n1-1\t0-3\tAnn\tNE\n")[0][0]
    assert [token.tag for token in only.tokens] == ["NE"]
    for columns, message in (
        ({"layer": "X"}, "found the layers POS, Event, NamedEntity and Bare, expected the layer X; name it with data.columns.layer"),
        ({"layer": "Event"}, "found the features kind and sure of Event, expected one; name it with data.columns.tag"),
        ({"layer": "Event", "tag": "x"}, "found kind and sure of Event, expected x; name another with data.columns.tag"),
    ):  # fmt: skip
        with pytest.raises(DataError) as error:
            of(tmp_path, head + rows, columns=columns)
        assert message in error.value.message
    two = HEAD + "#T_SP=a.A|x\n#T_SP=a.B|x\n\n#Text=a\n1-1\t0-1\ta\t_\t_\n"
    with pytest.raises(DataError, match=r"a\.tsv:1: found the layers A and B, expected one of them"):
        of(tmp_path, two)
    with pytest.raises(DataError, match=r"a\.tsv:1: found no layer of spans"):
        of(tmp_path, HEAD + "\n#Text=a\n1-1\t0-1\ta\n")


def test_names_of_sentences_are_reported(tmp_path: Path) -> None:
    assert of(tmp_path, HEAD + NER + BRUNO.replace("#Text", "#Sentence.id=s1\n#Text"))[1] == [
        "names of sentences are not kept",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.tsv: is empty, expected #FORMAT=WebAnno TSV 3"),
        ("# webanno.custom.X | a\n", "a.tsv:1: found '# webanno.custom.X | a', expected #FORMAT=WebAnno TSV 3.3 or another 3; export"),
        ("#FORMAT=WebAnno TSV 2\n", "expected #FORMAT=WebAnno TSV 3.3"),
        ("Ann\tPER\n", "a.tsv:1: found 'Ann\\tPER', expected #FORMAT=WebAnno TSV 3.3 or another 3; check the file"),
        (HEAD + NER + "\n#Text=a\n1-1\t0-1\ta\t_\n", "a.tsv:5: found 4 columns, expected 5"),
        (HEAD + NER + "\n#Text=a\n1-1\t0-1\ta\t_\t_\t\t\n", "a.tsv:5: found 7 columns, expected 5"),
        (HEAD + NER + "\nx\n", "a.tsv:4: found 'x', expected the numbers of a sentence"),
        (HEAD + NER + "\n1-x\t0-1\ta\t_\t_\n", "a.tsv:4: found '1-x"),
        (HEAD + NER + f"\n1-1\t0-{'9' * 5000}\ta\t_\t_\n", "a.tsv:4: found '1-1"),
        (HEAD + NER + "\n#Text=a\n1-1\t0-2\ta\t_\t_\n", "a.tsv:5: found an offset of 2 UTF-16 units, expected 0 to 1"),
        (HEAD + NER + "\n#Text=ab\n1-1\t0-1\tb\t_\t_\n", "a.tsv:5: found a sentence from -1 to 1 after one that ends at 0"),
        (HEAD + NER + "\n#Text=ab\n1-1\t0-1\ta\t_\t_\n1-2\t1-2\tx\t_\t_\n", "a.tsv:6: found the token 'x' at 1-2, where the text has 'b'"),
        (HEAD + NER + "\n#Text=a\n1-1\t999999999999-1000000000000\ta\t_\t_\n", "a.tsv:5: found"),
        (HEAD + NER + "\n#Text=a\n1-1\t0-1\ta\t_\t_\n\n#Text=a\n2-1\t0-1\ta\t_\t_\n", "a.tsv:8: found a sentence from 0 to 1 after one that ends at 1"),
        (HEAD + NER + "\n1-1\t0-1\ta\t_\t_\n1-2\t0-1\ta\t_\t_\n", "a.tsv:5: found an offset of 0 after a token that ends at 1, expected it"),
    ],
)  # fmt: skip
def test_wrong_files_are_errors_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        of(tmp_path, text)
    assert message in error.value.message


def test_wrong_bytes_are_an_error_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(HEAD.encode() + b"\xff\n")
    with pytest.raises(DataError, match=r"a\.tsv:2: byte 0xFF"):
        read(FORMAT, tmp_path / "a.tsv")


def escaped(text: str) -> str:
    for sign, spelling in (
        ("\\", "\\\\"),
        ("\t", "\\t"),
        ("\n", "\\n"),
        ("\r", "\\r"),
        *((sign, f"\\{sign}") for sign in "[]|_;*"),
    ):
        text = text.replace(sign, spelling)
    return text


@given(st.data())
def test_a_file_written_by_the_specification_is_read(data: st.DataObject) -> None:
    """The writer here follows the description of the format, independent of the reader."""
    lines, end = [HEAD + "#T_SP=custom.Span|kind\n"], 0
    text, spans, forms = "", [], []
    for s in range(data.draw(st.integers(1, 3))):
        gap = data.draw(st.sampled_from(["", "\n", "\n "])) if s else ""
        words = data.draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4))
        blanks = [data.draw(st.sampled_from(BETWEEN)) for _ in words[1:]] + [""]
        begin = len(text) + len(gap)
        body = "".join(word + blank for word, blank in zip(words, blanks, strict=True))
        first = data.draw(st.integers(0, len(words) - 1))
        last = data.draw(st.integers(first, len(words) - 1))
        kind = data.draw(st.sampled_from(TYPES))
        text += gap + body
        lines.append(f"\n#Text={escaped(body)}\n")
        at = begin
        for i, (word, blank) in enumerate(zip(words, blanks, strict=True)):
            start, stop = (len(text[:edge].encode("utf-16-le")) // 2 for edge in (at, at + len(word)))
            is_in = first <= i <= last
            if i == first:
                spans.append([kind, at, at])
            if is_in:
                spans[-1][2] = at + len(word)
            number = f"[{s + 1}]" if last > first else ""
            lines.append(
                f"{s + 1}-{i + 1}\t{start}-{stop}\t{escaped(word)}\t{escaped(kind) + number if is_in else '_'}\t\n"
            )
            forms.append(word)
            at += len(word) + len(blank)
        end = at
    assert end == len(text)
    with tempfile.TemporaryDirectory() as folder:
        (found,), reports = of(Path(folder), "".join(lines))
    assert (found.text, reports) == (text, [])
    assert [(span.type, span.start, span.end) for span in found.spans] == [tuple(span) for span in spans]
    assert [found.covered(token) for token in found.tokens] == forms


PARTS = st.sampled_from(
    [
        "\n",
        "\t",
        "1-1",
        "0-1",
        "0-3",
        "1-1.1",
        "a",
        "Ann",
        "_",
        "*",
        "X[1]",
        "|",
        "\\",
        "#Text=Ann",
        "#Text=",
        "[",
        "]",
        "💩",
        NER,
        POS,
        "-",
    ]
)


@settings(max_examples=300)
@given(st.lists(PARTS, max_size=25).map("".join))
def test_any_lines_are_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            of(Path(folder), HEAD + text)
        except DataError as error:
            assert "a.tsv" in error.message


def test_files_are_recognized_by_their_first_line() -> None:
    assert FORMAT.recognize([HEAD.strip()])
    assert not FORMAT.recognize(["#Text=a"])
    assert not FORMAT.recognize([])


def test_the_examples() -> None:
    found = doctest.testmod(webanno)
    assert (found.failed, found.attempted) == (0, 1)


def test_many_annotations_of_a_token_stay_apart(tmp_path: Path) -> None:
    rows = "\n#Text=a b\n1-1\t0-1\ta\tA|B|C\n1-2\t2-3\tb\tD|E|F\n"
    (found,), _ = of(tmp_path, HEAD + "#T_SP=custom.Span|kind\n" + rows)
    assert [span.type for span in found.spans] == list("ABCDEF")
