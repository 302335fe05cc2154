from __future__ import annotations

import doctest
import tempfile
from pathlib import Path
from typing import Any

import pytest
from documents import documents, read, without_places, write
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats import conllu_entities, conllu_lines
from tagger.formats.conllu import FORMAT
from tagger.formats.document import Document, DocumentSpan, DocumentToken

NORNE = """\
# sent_id = 1
# text = They're in Bergen.
1-2\tThey're\t_\t_\t_\t_\t_\t_\t_\t_
1\tThey\tthey\tPRON\tPRP\tCase=Nom|Number=Plur\t4\tnsubj\t4:nsubj\tname=O
2\t're\tbe\tAUX\tVBP\tMood=Ind\t4\tcop\t4:cop\tname=O
3\tin\tin\tADP\tIN\t_\t4\tcase\t4:case\tname=O
4\tBergen\tBergen\tPROPN\tNNP\t_\t0\troot\t0:root\tSpaceAfter=No|name=B-GPE_LOC|Gloss=a=b
4.1\tx\tx\t_\t_\t_\t_\t_\t0:root\tCopyOf=3
5\t.\t.\tPUNCT\t.\t_\t4\tpunct\t4:punct\tname=O

# sent_id = 2
# odd comment
1\tNew York\tx\tPROPN\t_\t_\t0\troot\t_\tname=B-GPE_LOC|Foo|name=O

"""
UPOS = "1\tAnn\t_\tPROPN\t_\t_\t_\t_\t_\tSpaceAfter=No\n2\t.\t_\tPUNCT\t_\t_\t_\t_\t_\t_\n\n"


def row(number: str, form: str, misc: str = "_", upos: str = "X") -> str:
    return f"{number}\t{form}\t_\t{upos}\t_\t_\t_\t_\t_\t{misc}\n"


def of(tmp_path: Path, text: str, **options: Any) -> tuple[list[Document], list[str]]:
    (tmp_path / "a.conllu").write_text(text, "utf-8", newline="")
    return read(FORMAT, tmp_path / "a.conllu", **options)


def written(tmp_path: Path, found: list[Document], **options: Any) -> tuple[str, list[str]]:
    reports = write(FORMAT, found, tmp_path / "b.conllu", **options)
    return (tmp_path / "b.conllu").read_bytes().decode(), reports


def test_words_and_entities_are_read(tmp_path: Path) -> None:
    notes: list[str] = []
    (first, second), reports = of(tmp_path, NORNE, note=notes.append)
    assert first.text == "They're in Bergen."
    assert [first.covered(token) for token in first.tokens] == ["They", "'re", "in", "Bergen", "."]
    assert first.spans == (DocumentSpan("GPE_LOC", 11, 17),)
    assert (first.id, first.place.line, second.place.line) == ("1", 1, 11)
    assert (second.text, second.spans) == ("New York", (DocumentSpan("GPE_LOC", 0, 8),))
    assert (reports, notes) == ([], ["the entities are the values of name= in MISC"])


@pytest.mark.parametrize("text", [NORNE, UPOS, NORNE + UPOS, UPOS * 3, "# newdoc\n" + NORNE])
@pytest.mark.parametrize("change", ["{}", "\ufeff{}", "\n\n{}\n\n", "crlf"])
def test_all_lines_are_written_back(tmp_path: Path, text: str, change: str) -> None:
    found, reports = of(tmp_path, text.replace("\n", "\r\n") if change == "crlf" else change.format(text))
    assert (written(tmp_path, found), reports) == ((text, []), [])


def test_changed_entities_change_nothing_else(tmp_path: Path) -> None:
    (first, second), _ = of(tmp_path, NORNE)
    assert first.sentences is not None
    changed = Document(
        text=first.text, sentences=first.sentences, fields=first.fields, spans=(DocumentSpan("PER", 0, 7),)
    )
    text, _ = written(tmp_path, [changed, second])
    expected = NORNE.replace("4:nsubj\tname=O", "4:nsubj\tname=B-PER").replace("4:cop\tname=O", "4:cop\tname=I-PER")
    assert text == expected.replace("name=B-GPE_LOC|Gloss", "name=O|Gloss")
    plain = Document(text=first.text, sentences=first.sentences, fields=first.fields)
    assert (
        written(tmp_path, [plain])[0]
        == NORNE.replace("name=B-GPE_LOC|Gloss", "name=O|Gloss").partition("# sent_id = 2")[0]
    )


def test_new_entities_go_to_misc(tmp_path: Path) -> None:
    (found,), _ = of(tmp_path, UPOS)
    assert [token.tag for token in found.tokens] == ["PROPN", "PUNCT"]
    tagged = Document(
        text=found.text, sentences=found.sentences, fields=found.fields, spans=(DocumentSpan("PER", 0, 3),)
    )
    assert written(tmp_path, [tagged], scheme="IOBES")[0] == UPOS.replace("SpaceAfter=No", "SpaceAfter=No|name=S-PER")


def test_changed_parts_of_speech_go_to_their_column(tmp_path: Path) -> None:
    (found,), _ = of(tmp_path, UPOS)
    tokens = (DocumentToken(0, 3, "NOUN"), DocumentToken(3, 4, "PUNCT"))
    changed = Document(text=found.text, sentences=(tokens,), fields=found.fields)
    assert written(tmp_path, [changed])[0] == UPOS.replace("PROPN", "NOUN")


def test_other_words_get_new_lines(tmp_path: Path) -> None:
    (first, second), _ = of(tmp_path, NORNE)
    tokens = tuple(DocumentToken(i, i + 1) for i in range(7)) + first.tokens[2:]
    cut = Document(text=first.text, sentences=(tokens,), fields=first.fields, spans=first.spans, id="1")
    text, reports = written(tmp_path, [cut, second])
    assert reports == ["the columns of a sentence whose words have changed are not kept"]
    assert "# sent_id = 1\n# text = They're in Bergen.\n1\tT\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n" in text
    assert [document.spans for document in of(tmp_path, text)[0]] == [first.spans, second.spans]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (row("1", "a") + row("2", "b"), "a b"),
        (row("1", "a", "SpaceAfter=No") + row("2", "b"), "ab"),
        (row("1", "a", r"SpacesAfter=\s\s\n\t\p\\") + row("2", "b"), "a b"),
        (row("1", "a", r"SpacesAfter=\s\s\r\n\t") + row("2", "b"), "a  \r\n\tb"),
        (row("1", "a", r"SpacesBefore=\n") + row("2", "b", r"SpacesAfter=\n"), "\na b\n"),
        (row("1-2", "ab", "SpaceAfter=No") + row("1", "a") + row("2", "b") + row("3", "c"), "abc"),
        (row("1-2", "du", "SpaceAfter=No") + row("1", "de") + row("2", "le") + row("3", "."), "de le."),
        ("# text = a   b\n" + row("1", "a") + row("2", "b"), "a   b"),
        ("# text = x\n" + row("1", "a") + row("2", "b"), "a b"),
        ("# text = aa b\n" + row("1", "a") + row("2", "a") + row("2.1", "z") + row("3", "b"), "aa b"),
        ("# newdoc id = d\n" + row("1", "a") + "\n" + row("1", "b", "SpaceAfter=No") + "\n" + row("1", "c"), "a bc"),
    ],
)
def test_the_text_is_made_of_words_and_blanks(tmp_path: Path, lines: str, text: str) -> None:
    (found,), reports = of(tmp_path, lines + "\n")
    assert found.text == text
    assert bool(reports) == ("du" in lines or "= x" in lines)


def test_a_document_goes_on_to_the_next_one(tmp_path: Path) -> None:
    text = (
        row("1", "a")
        + "\n# newdoc id = d\n"
        + row("1", "b")
        + "\n"
        + row("1", "c")
        + "\n# newdoc\n"
        + row("1", "d")
        + "\n"
    )
    found, _ = of(tmp_path, text)
    assert [(document.text, document.id, len(document.sentences or ())) for document in found] == [
        ("a", None, 1),
        ("b c", "d", 2),
        ("d", None, 1),
    ]
    assert written(tmp_path, found)[0] == text


def test_keys_are_chosen_by_what_they_hold_or_by_name(tmp_path: Path) -> None:
    text = (
        row("1", "Ann", "Gloss=A|NE=B-PER|Sub=B-FIRST") + row("2", "Lee", "NE=I-PER") + row("3", "x", "Gloss=x") + "\n"
    )
    notes: list[str] = []
    assert of(tmp_path, text, note=notes.append)[0][0].spans == (DocumentSpan("PER", 0, 7),)
    assert notes == [
        "the entities are the values of NE= in MISC; other keys that look like tags: Sub (data.columns.tag)"
    ]
    assert of(tmp_path, text, columns={"tag": "Sub"})[0][0].spans == (DocumentSpan("FIRST", 0, 3),)
    assert [token.tag for token in of(tmp_path, text, columns={"tag": "upos"})[0][0].tokens] == ["X", "X", "X"]


GUM = "# global.Entity = GRP-etype-infstat-centering-minspan-link-identity\n" + "".join(
    [
        row("1", "The", "Entity=(e1-person-new-cf1-2-coref"),
        row("2", "King", "Entity=(e9[1/2]-event-new-cf3-1-sgl)"),
        row("3", "of", ""),
        row("4", "France", "Entity=(e2-place-new-cf2-1-coref-France)e1)|SpaceAfter=No"),
        row("5", ".", "Entity=e7)"),
        "\n",
    ]
)


def test_brackets_mark_spans_in_spans(tmp_path: Path) -> None:
    (found,), reports = of(tmp_path, GUM)
    assert [(span.type, found.covered(span)) for span in found.spans] == [
        ("place", "France"),
        ("person", "The King of France"),
    ]
    assert reports == [
        "the part e9[1/2] of a discontinuous entity is left out",
        "found the end of 'e7' in Entity=, expected its beginning before",
    ]
    assert written(tmp_path, [found])[0] == GUM
    text, reports = written(
        tmp_path, [Document(text=found.text, sentences=found.sentences, fields=found.fields, spans=found.spans[:1])]
    )
    assert reports == ["the brackets of Entity= stay as they were; the new entities are under name="]
    assert "SpaceAfter=No|name=B-place" in text


def test_other_columns_may_be_declared(tmp_path: Path) -> None:
    text = "# global.columns = ID FORM NER MISC\n1\tAnn\tB-PER\t_\n2\tleft\tO\t_\n\n1\tBob\tB-PER\t_\n\n"
    found, _ = of(tmp_path, text, columns={"tag": "NER"})
    assert [document.spans for document in found] == [(DocumentSpan("PER", 0, 3),)] * 2
    assert written(tmp_path, found)[0] == text
    changed = Document(text="Bob", sentences=found[1].sentences, fields=found[1].fields)
    assert written(tmp_path, [found[0], changed])[0] == text.replace("Bob\tB-PER", "Bob\tO")


def test_comments_without_a_sentence_are_reported(tmp_path: Path) -> None:
    found, reports = of(tmp_path, "# the end\n\n" + UPOS + "# the end\n")
    assert (len(found), reports) == (1, ["comments without a sentence are not kept"] * 2)


HOSTILE: list[tuple[bytes, str]] = [
    (b"1\ta\n", "a.conllu:1: found 2 columns, expected 10, separated by TABs"),
    (row("1", "a").encode() + b"\n# x\nraw text\n", "a.conllu:4: found 1 column, expected 10"),
    (row("1", "a", "_\tx").encode(), "a.conllu:1: found 11 columns, expected 10"),
    (row("1", "a").encode() + row("x", "b").encode(), "a.conllu:2: found 'x' as the ID of a line"),
    (row("2-1", "a").encode(), "a.conllu:1: found '2-1' as the ID of a line"),
    (row("9" * 5000, "").encode(), "a.conllu:1: found a word without a form"),
    (row("1", "a\xff").encode("latin-1"), "a.conllu:1: byte 0xFF at offset 3 of the line is not valid utf-8"),
    (row("1", "a", "name=B-X").encode() + row("2", "a", "name=B-X").encode() + b"\n" + row("1", "a", "name=Q-X").encode(), "a.conllu:4: found the tag 'Q-X'"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_input_is_one_error_that_names_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.conllu").write_bytes(content)
    with pytest.raises(DataError) as error:
        read(FORMAT, tmp_path / "a.conllu", columns={"tag": "name"} if b"Q-X" in content else {})
    assert message in error.value.message


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", "\r\n \t\r\n"])
def test_an_empty_file_has_no_documents(tmp_path: Path, content: str) -> None:
    assert of(tmp_path, content) == ([], [])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document(text="a"), "found a text without tokens"),
        (Document(text="a\tb", sentences=((DocumentToken(0, 3),),)), r"found the token 'a\\tb', which CoNLL-U cannot hold"),
        (Document(text="a", sentences=((DocumentToken(0, 1),),), spans=(DocumentSpan("A|B", 0, 1),)), r"found the tag 'B-A\|B'"),
        (Document(text="\ud800", sentences=((DocumentToken(0, 1),),)), "half of a surrogate pair"),
    ],
)  # fmt: skip
def test_what_lines_cannot_hold_is_an_error(tmp_path: Path, document: Document, message: str) -> None:
    with pytest.raises(DataError, match=message):
        written(tmp_path, [document])


def test_a_document_without_tokens_is_reported(tmp_path: Path) -> None:
    assert written(tmp_path, [Document(text=" ", sentences=())]) == ("", ["documents without tokens are not kept"])


def test_what_is_left_out_is_reported(tmp_path: Path) -> None:
    tokens = (DocumentToken(0, 1), DocumentToken(4, 5))
    spans = (DocumentSpan("A", 0, 1, 0.5), DocumentSpan("B", 0, 3))
    document = Document(text="a x b", sentences=(tokens,), spans=spans, id="a\nb", fields={"meta": 1})
    text, reports = written(tmp_path, [document])
    assert reports == [
        "CoNLL-U cannot hold characters outside tokens, which are left out",
        "CoNLL-U cannot hold probabilities, which are left out",
        "the B span from 0 to 3 does not fit the words, or overlaps another one; it is left out",
        "a name of a document that holds a line end is not kept",
    ]
    assert text == "# newdoc\n# text = a x b\n" + row("1", "a", "name=B-A", "_") + row("2", "b", "_", "_") + "\n"


IDS = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\r\n"))


@given(st.lists(documents(flat=True, tokens=True, ids=IDS), max_size=3), st.sampled_from(["IOB2", "IOBES", "BILOU"]))
def test_documents_come_back(made: list[Document], scheme: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text, reports = written(Path(folder), made, scheme=scheme)
        assert not reports
        found, reports = of(Path(folder), text, columns={"tag": "name"}, scheme=scheme)
        assert not reports
        for document, original in zip(without_places(found), made, strict=True):
            assert (document.text, document.spans, document.sentences, document.id) == (
                original.text, original.spans, original.sentences, original.id
            )  # fmt: skip
        assert written(Path(folder), found, scheme=scheme) == (text, [])


@given(documents(plain=True, tokens=True))
def test_plain_tags_come_back(made: Document) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text, _ = written(Path(folder), [made])
        found, _ = of(Path(folder), text)
        assert (found[0].sentences, found[0].text) == (made.sentences, made.text)


CELLS = st.sampled_from(
    ["_", "a", "Ann", "1", "1-2", "3.1", "name=B-PER", "name=O|SpaceAfter=No", "Entity=(e1-x)", "e1)", "|", "=", ""]
)
LINES = st.lists(CELLS, min_size=10, max_size=10).map("\t".join) | st.sampled_from(
    [
        "",
        "# text = a",
        "# newdoc",
        "#",
        "# global.columns = ID",
        "# global.Entity = eid-etype",
        row("1", "Ann", "name=B-PER")[:-1],
        row("2", "x", "Entity=(e1-x(e2-y)")[:-1],
        "x",
    ]
)


@settings(max_examples=400)
@given(st.lists(LINES, max_size=8))
def test_any_lines_are_read_and_written_back_or_refused(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            found, reports = of(Path(folder), "\n".join(lines))
        except DataError as error:
            assert "a.conllu" in error.message
            return
        text, _ = written(Path(folder), found)
        if "comments without a sentence are not kept" not in reports:
            assert [line for line in text.split("\n") if line] == [line for line in lines if line.strip("\t ")]


@given(st.lists(documents(flat=True, tokens=True, most=1), min_size=1, max_size=3))
def test_the_conllu_library_reads_the_same(made: list[Document]) -> None:
    conllu = pytest.importorskip("conllu")
    with tempfile.TemporaryDirectory() as folder:
        text, _ = written(Path(folder), made)
        found, _ = of(Path(folder), text)
        theirs = conllu.parse(text)
        assert [[word["form"] for word in sentence] for sentence in theirs] == [
            [document.covered(token) for token in document.tokens] for document in found
        ]
        tags = [(word["misc"] or {}).get("name", "O") for sentence in theirs for word in sentence]
        assert sum(tag.startswith("B-") for tag in tags) == sum(len(document.spans) for document in made)


def test_the_conllu_library_reads_the_same_words_of_a_file(tmp_path: Path) -> None:
    conllu = pytest.importorskip("conllu")
    ours, _ = of(tmp_path, NORNE)
    theirs = [[word["form"] for word in sentence if isinstance(word["id"], int)] for sentence in conllu.parse(NORNE)]
    assert [[document.covered(token) for token in document.tokens] for document in ours] == theirs


def test_files_are_recognized_by_their_columns() -> None:
    assert FORMAT.recognize(NORNE.splitlines())
    assert FORMAT.recognize(["# global.columns = ID FORM", "1\ta"])
    assert not FORMAT.recognize(["# text = a", "1\ta\tO"])
    assert not FORMAT.recognize([])
    assert not FORMAT.recognize(["# only comments"])


@pytest.mark.parametrize("module", [conllu_lines, conllu_entities])
def test_the_examples(module: Any) -> None:
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 0) == (0, True)
