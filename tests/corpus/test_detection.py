"""What is found in a file: its columns, header, comments, delimiter, and the numbers of CoNLL-U."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tagger.corpus.conll import Sentence, read_sentences, write_sentence
from tagger.corpus.detection import Detected, Requested, detect_layout
from tagger.errors import DataError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "f.conll"


def detect(path: Path, data: str, **requested: object) -> Detected:
    path.write_text(data, "utf-8")
    return detect_layout(path, Requested(**requested))  # type: ignore[arg-type]


def read(found: Detected, data: str, *, gold: bool = True) -> list[Sentence]:
    sentences = read_sentences(io.BytesIO(data.encode()), found.layout, gold=gold, n_columns=found.layout.n_columns)
    return [sentence for sentence in sentences if sentence.tokens]


def pairs(found: Detected, data: str) -> list[list[str]]:
    """Return the tokens and tags of each sentence: `[["Hanna/B-PER", …], …]`."""
    return [[f"{a}/{b}" for a, b in zip(s.tokens, s.tags, strict=True)] for s in read(found, data)]


# --- Which column is the tag -----------------------------------------------------------------------------------------

NESTED = (
    "1\tKiel\tB-LOC\tB-LOC\n2\t.\tO\tO\n\n1\tHanna\tB-PER\tO\n2\tbesucht\tO\tO\n3\tKieler\tB-ORG\tB-LOC\n4\tHafen\tI-ORG\tO\n\n"
    * 3
)


@pytest.mark.parametrize(
    ("data", "token", "tag"),
    [
        ("a B-X\nb O\n", 0, -1),
        (
            "a NNP B-NP B-PER\nb VB B-VP O\nc NN I-VP O\n",
            0,
            -1,
        ),  # chunks cover the entities, but have types of their own
        ("1\ta\tB-X\n2\tb\tO\n\n1\tc\tO\n2\td\tB-X\n", 1, -1),
        ("0\ta\tB-X\n1\tb\tO\n\n0\tc\tO\n1\td\tB-X\n", 1, -1),
        (NESTED, 1, 2),
        ("a\tB-X\t_\nb\tO\t_\n", 0, 1),
        ("a\tB-X\t0.93\nb\tO\t0.99\n", 0, 1),
        ("a\tB-X\t_\nb\tO\tNoSpaceAfter\nc\tO\t_\n", 0, 1),
        ("a NNP B-NP PER\nb VB B-VP O\nc IN B-PP O\nd NN B-NP O\n", 0, -1),  # bare types: IO
        ("a NNP 0 B-X\nb VB 1 O\n", 0, -1),  # numbers and single letters are no tags of spans
        ("a l NNP\nb u VB\n", 0, -1),
        ("a B-NP O\nb I-NP O\n", 0, -1),  # a file without an entity is not one of chunks
        ("a\tPER-B\t_\nb\tO\t_\n", 0, 1),
        ("B-X\ta\nO\tb\nO\tc\n", 1, 0),
        ("a\nb\n", 0, -1),
        ("", 0, -1),
    ],
)
def test_the_token_and_the_tag_column_are_found(path: Path, data: str, token: int, tag: int) -> None:
    assert dict(detect(path, data).layout.columns) == {"token": token, "tag": tag}


def test_the_first_entity_may_come_late_in_a_file(path: Path) -> None:
    data = "the DT B-NP O\nend NN I-NP O\n\n" * 15_000 + "Bonn NNP B-NP B-LOC\n"
    assert detect(path, data).layout.columns["tag"] == -1


def test_what_else_could_have_been_read_is_said(path: Path) -> None:
    assert detect(path, NESTED).notes == (
        "columns 2 and 3 look like tags; using 2; set data.columns.tag to use another",
        "not used: column 0 (numbers of the tokens)",
    )
    assert detect(path, "a NN x\nb VB x\n").notes == ("not used: column 1 (NN, VB)",)


def test_plain_tags_beside_tags_of_spans_must_be_chosen_by_the_user(path: Path) -> None:
    data = "a B-X NNP\nb O VB\nc O IN\n"
    (doubt,) = detect(path, data).doubts
    assert doubt == "columns 1 and 2 could all hold the tags; set data.columns.tag to the one to learn"
    assert not detect(path, data, columns={"tag": 1}).doubts
    assert dict(detect(path, data, columns={"tag": 2}).layout.columns) == {"token": 0, "tag": 2}


def test_a_column_that_the_user_sets_leaves_the_other_to_be_found(path: Path) -> None:
    data = "1\ta\tB-X\tO\n2\tb\tO\tO\n\n" * 2
    assert dict(detect(path, data, columns={"tag": 3}).layout.columns) == {"token": 1, "tag": 3}
    assert dict(detect(path, data, columns={"token": 1}).layout.columns) == {"token": 1, "tag": -1}
    assert dict(detect(path, data, columns={"token": 0}).layout.columns)["token"] == 0


# --- CoNLL-U ---------------------------------------------------------------------------------------------------------


def conllu(*rows: tuple[str, str, str]) -> str:
    """Return a sentence of CoNLL-U with numbers, forms and MISC columns."""
    return "".join(f"{n}\t{form}\tl\tX\t_\t_\t0\tdep\t_\t{misc}\n" for n, form, misc in rows) + "\n"


def test_entities_in_misc_are_the_tags(path: Path) -> None:
    data = "# text = x\n" + conllu(
        ("1", "Kari", "name=B-PER"),
        ("2", "kom", "SpaceAfter=No|name=O"),
        ("3", "Bergen", "SpaceAfter=No|name=B-GPE_LOC"),
    )
    found = detect(path, data * 3)
    assert pairs(found, data) == [["Kari/B-PER", "kom/O", "Bergen/B-GPE_LOC"]]
    assert found.layout.tag_key == "name"
    assert found.notes[0] == "CoNLL-U: the tags are the values of name= in column 9 (MISC)"


def test_a_token_without_the_key_in_misc_is_outside(path: Path) -> None:
    data = conllu(("1", "Kari", "NER=B-PER"), ("2", "kom", "SpaceAfter=No"), ("3", ".", "_"))
    assert pairs(detect(path, data), data) == [["Kari/B-PER", "kom/O", "./O"]]


def test_another_key_of_misc_can_be_named(path: Path) -> None:
    data = conllu(("1", "Kari", "name=B-PER|NE=B-X"), ("2", "kom", "name=O|NE=O"))
    assert "other keys that look like tags: name" in detect(path, data).notes[0]
    assert pairs(detect(path, data, tag_key="NE"), data) == [["Kari/B-X", "kom/O"]]


def test_without_entities_the_parts_of_speech_are_the_tags(path: Path) -> None:
    data = "1\tI\tI\tPRON\tP\t_\t2\tnsubj\t_\t_\n2\tgo\tgo\tVERB\tV\t_\t0\troot\t_\tSpaceAfter=No\n\n"
    assert pairs(detect(path, data), data) == [["I/PRON", "go/VERB"]]


def test_ranges_and_empty_nodes_pass_through_without_a_tag(path: Path) -> None:
    data = "1\tI\tPRON\n2-3\tdon't\t_\n2\tdo\tAUX\n3\tn't\tPART\n3.1\tgo\tVERB\n\n"
    found = detect(path, data * 2)
    (sentence,) = read(found, data, gold=False)
    assert sentence.tokens == ["I", "do", "n't"]
    assert write_sentence(sentence, [["x", "y", "z"]], found.layout).decode() == (
        "1\tI\tPRON\tx\n2-3\tdon't\t_\n2\tdo\tAUX\ty\n3\tn't\tPART\tz\n3.1\tgo\tVERB\n\n"
    )


# --- Headers, prefixes, ragged lines ---------------------------------------------------------------------------------

HEADED = "TOKEN\tNE-COARSE\tMISC\nDr\tB-pers\t_\nBerg\tI-pers\t_\n\nBonn\tB-loc\t_\n,\tO\tNoSpaceAfter\n"


def test_a_header_is_no_token_and_its_names_can_be_used(path: Path) -> None:
    found = detect(path, HEADED)
    assert found.layout.header == ("TOKEN", "NE-COARSE", "MISC")
    assert pairs(found, HEADED)[0] == ["Dr/B-pers", "Berg/I-pers"]
    named = detect(path, HEADED, columns={"token": "TOKEN", "tag": "NE-COARSE"})
    assert dict(named.layout.columns) == {"token": 0, "tag": 1}
    with pytest.raises(DataError, match=r"columns.tag: found 'NER', expected one of TOKEN, NE-COARSE, MISC; set it to"):
        detect(path, HEADED, columns={"tag": "NER"})
    with pytest.raises(DataError, match=r"expected an index, because the file has no header line"):
        detect(path, "a\n", columns={"tag": "NER"})


def test_prediction_passes_a_header_through_even_if_it_lacks_the_last_columns(path: Path) -> None:
    layout = detect(path, HEADED).layout
    for data in ("TOKEN\nBonn\n", HEADED):
        sentence = next(s for s in read_sentences(io.BytesIO(data.encode()), layout) if s.tokens)
        assert sentence.tokens[0] in ("Bonn", "Dr")
    sentences = list(read_sentences(io.BytesIO(b"Bonn\nTOKEN\n"), layout))
    assert sentences[0].tokens == ["Bonn", "TOKEN"], "only the first line can be an incomplete header"


@pytest.mark.parametrize("first", ["word\tO", "Token\tB:PER", "EU\tner"])
def test_a_first_token_is_not_taken_for_a_header(path: Path, first: str) -> None:
    data = f"{first}\nb\tO\nc\tB-X\nword\tO\n"
    assert detect(path, data).layout.header == ()


def test_a_language_before_each_token_is_not_part_of_it(path: Path) -> None:
    data = "en:Bonn\tB-LOC\nen:is\tO\n\n" * 6
    found = detect(path, data)
    assert found.layout.token_prefix == "en:"
    assert pairs(found, data)[0] == ["Bonn/B-LOC", "is/O"]
    assert read(found, "Bonn\n", gold=False)[0].tokens == ["Bonn"], "prediction takes tokens without it too"
    assert detect(path, data + "ende\tO\n").layout.token_prefix == ""


def test_lines_of_different_lengths_are_read_if_the_tag_is_always_last(path: Path) -> None:
    data = "7\tN\t*\tB-DAT\nmonth\tN\t*\tx\ty\tI-DAT\nXY\tN\t*\tO\n\n"
    found = detect(path, data)
    assert found.layout.ragged
    assert pairs(found, data) == [["7/B-DAT", "month/I-DAT", "XY/O"]]


@pytest.mark.parametrize(
    "data",
    [
        "San Porto B-LOC\nis O\nbig O\n",  # half of a token would be lost
        "San Porto NNP B-LOC\nis VB O\nbig JJ O\n",
        "Bonn NNP\nis VB O\nbig JJ B-LOC\n",  # a missing tag
        "a NN B-Titre 2\nb NN O\nc NN O\n",  # half of a tag would be lost
    ],
)
def test_blanks_in_tokens_and_tags_are_not_taken_for_ragged_lines(path: Path, data: str) -> None:
    found = detect(path, data)
    assert not found.layout.ragged
    with pytest.raises(DataError, match=r"found \d columns?, expected \d"):
        read(found, data)


# --- Delimiter and comments ------------------------------------------------------------------------------------------


def test_tabs_throughout_the_training_file_let_tokens_hold_blanks(path: Path) -> None:
    found = detect(path, "a\tO\nb\tB-X\n")
    assert found.layout.delimiter == "tab"
    (sentence,) = read(found, "San Porto\n", gold=False)
    assert sentence.tokens == ["San Porto"]
    assert write_sentence(sentence, [["B-LOC"]], found.layout) == b"San Porto\tB-LOC\n"
    assert detect(path, "a\tO\nb B-X\n").layout.delimiter == "auto"
    assert detect(path, "a\tO\nb\tB-X\n", delimiter="auto").layout.delimiter == "auto"


def test_a_document_boundary_separated_by_spaces_is_found_among_tabs(path: Path) -> None:
    data = "-DOCSTART- -X- O\n\na\tO\nb\tB-X\n"
    assert pairs(detect(path, data), data) == [["a/O", "b/B-X"]]


def test_a_mistyped_tag_of_a_hashtag_does_not_turn_comments_on(path: Path) -> None:
    data = "a\tO\n#b\tO\n#c\tB:LOC\n"
    found = detect(path, data)
    assert found.layout.comments is None
    assert pairs(found, data) == [["a/O", "#b/O", "#c/B:LOC"]]
    beside_comments = "# id = 1\n" + data
    assert pairs(detect(path, beside_comments), beside_comments) == [["a/O", "#b/O", "#c/B:LOC"]]


def test_the_number_of_comments_and_two_of_them_are_said(path: Path) -> None:
    data = "# id = 1\na\tO\n# id = 2\nb\tB-X\n#id=3\nc\tO\n"
    assert detect(path, data).notes == ("3 lines are comments: '# id = 1' (line 1) and '# id = 2' (line 3)",)


def test_document_marks_of_conll_2012_are_comments(path: Path) -> None:
    data = "#begin document (x); part 0\na O\nb B-X\n#end document\n"
    assert pairs(detect(path, data), data) == [["a/O", "b/B-X"]]


# --- Shapes that a stranger may bring --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "token", "tag"),
    [
        ("word pos sentence_id\nEU NNP 1\nfell VB 1\n\nIt PRP 2\nrose VB 2\n", 0, 1),
        ("Sentence #\tWord\tTag\ns1\tEU\tB-ORG\ns1\tfell\tO\n", 1, -1),
        ("token ner pos\nEU B-ORG NNP\nfell O VB\n", 0, 1),
        ("TOKEN NE-COARSE-LIT NE-FINE-COMP NE-NESTED MISC\nDr B-pers B-comp.title O _\nBerg I-pers B-comp.name O _\n, O O O _\n", 0, 1),
        ("B-ORG\t0\t2\tEU\nO\t3\t7\tfell\nO\t8\t9\t.\n", 3, 0),
        ("1\tEU\teu\tPROPN\t_\t_\t0\troot\t_\tB-ORG\n2\tfell\tfall\tVERB\t_\t_\t1\tdep\t_\tO\n", 1, -1),
        ("1-1 EU B-ORG\n1-2 fell O\n", 0, -1),  # no whole number: not the ids of CoNLL-U
    ],
)  # fmt: skip
def test_names_and_values_choose_the_columns(path: Path, data: str, token: int, tag: int) -> None:
    assert dict(detect(path, data).layout.columns) == {"token": token, "tag": tag}


def test_the_key_of_entities_is_preferred_in_misc(path: Path) -> None:
    data = conllu(("1", "EU", "Chunk=B-NP|NER=B-ORG"), ("2", "fell", "Chunk=B-VP|NER=O"), ("3", ".", "Chunk=O"))
    assert detect(path, data).layout.tag_key == "NER"


def test_half_a_token_is_not_lost_where_its_other_half_is_a_lemma(path: Path) -> None:
    data = "vivo vivir V O\nejemplo ejemplo N O\n\npor ejemplo por_ejemplo R O\nvivo vivir V B-X\n"
    assert not detect(path, data).layout.ragged


def test_text_in_the_last_column_is_doubted_beside_a_column_of_tags(path: Path) -> None:
    data = "".join(f"w{i}\t{'NN' if i % 3 else 'VB'}\tlemma{i // 2}\n" for i in range(200))
    (doubt,) = detect(path, data).doubts
    assert doubt == (
        "column 2 has 100 different values, and column 1 fewer, as tags have; set data.columns.tag to the column of the"
        " tags"
    )


def test_comments_with_the_usual_number_of_words_are_not_tokens(path: Path) -> None:
    data = "".join(f"# sent_id = {i}\nEU eu PROPN B-ORG\nfell fall VERB O\n\n" for i in range(3))
    assert pairs(detect(path, data), data) == [["EU/B-ORG", "fell/O"]] * 3
    data = "".join(f"# doc{i}\nEU PROPN\nfell VERB\n\n" for i in range(3))
    assert pairs(detect(path, data), data) == [["EU/PROPN", "fell/VERB"]] * 3
    data = "".join(f"###MEDLINE:{i}\nEU\tB-X\nfell\tO\n\n" for i in range(3))
    assert pairs(detect(path, data), data) == [["EU/B-X", "fell/O"]] * 3
