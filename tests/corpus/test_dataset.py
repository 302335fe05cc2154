from __future__ import annotations

import collections
import dataclasses
import gzip
from pathlib import Path

import pytest
from helpers import spans_of_seqeval
from hypothesis import given
from hypothesis import strategies as st

from tagger.corpus.conll import Sentence, read_sentences
from tagger.corpus.dataset import (
    Corpus,
    compare_columns,
    cut_long,
    load_gold,
    load_training,
    note_on_notation,
    split_dev,
    unseen_tags,
)
from tagger.corpus.detection import Requested, detect_layout, detect_layouts
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import NO_SCHEME, Span, spans_from_tags
from tagger.errors import DataError


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    return tmp_path / "train.conll"


def detect(path: Path, data: str | bytes, comments: str = "auto", **settings: object) -> Layout:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return detect_layout(path, Requested(comments=comments, **settings)).layout  # type: ignore[arg-type]


def load(path: Path, data: str, *, scheme: str = "auto", **settings: object) -> tuple[Corpus, Notation, list[str]]:
    return load_training(path, detect(path, data, **settings), scheme)


def tokens_of(corpus: Corpus) -> list[list[str]]:
    return [sentence.tokens for sentence in corpus.sentences]


def corpus_of(*tags: str) -> Corpus:
    sentences = [
        Sentence([f"s{i}t{j}" for j in range(len(row.split()))], [], [], [], [], 1) for i, row in enumerate(tags)
    ]
    return Corpus("f.conll", sentences, [row.split() for row in tags], Notation(scheme="IOB2"))


# --- Which lines are comments --------------------------------------------------------------------------------------


def test_a_hash_sign_can_be_a_token(corpus_file: Path) -> None:
    data = "It PRP B-NP\n# # I-NP\n1 CD I-NP\n. . O\n\n# # B-NP\n"
    corpus, _, _ = load(corpus_file, data)
    assert tokens_of(corpus) == [["It", "#", "1", "."], ["#"]]
    assert detect(corpus_file, data).comments is None


def test_a_hash_sign_can_be_a_token_when_another_column_holds_the_tag(corpus_file: Path) -> None:
    columns = {"token": 0, "tag": 1}  # part-of-speech tags; `#` is one of them
    corpus, _, _ = load(corpus_file, "It PRP B-NP\n# # I-NP\n1 CD I-NP\n. . O\n", scheme="none", columns=columns)
    assert tokens_of(corpus) == [["It", "#", "1", "."]]
    assert corpus.tags == [["PRP", "#", "CD", "."]]


def test_a_hash_sign_with_a_plain_tag_is_a_token_even_beside_comments(corpus_file: Path) -> None:
    data = "# text = It cost # 1\nIt PRP\n# #\n1 CD\n"
    corpus, _, _ = load(corpus_file, data, scheme="none")
    assert detect(corpus_file, data).comments == "#"
    assert tokens_of(corpus) == [["It", "#", "1"]]


@pytest.mark.parametrize(("tag", "scheme"), [("NN", "none"), ("PER", "IO"), ("B-PER", "auto")])
def test_comments_with_one_word_for_each_column_of_a_tab_file_are_comments(
    corpus_file: Path, tag: str, scheme: str
) -> None:
    data = f"# sent_id = s1\n1\ta\tx\t{tag}\n\n# sent_id = s2\n1\tb\tx\t{tag}\n"
    columns = {"token": 1, "tag": 3}
    assert detect(corpus_file, data, columns=columns).comments == "#"
    assert tokens_of(load(corpus_file, data, scheme=scheme, columns=columns)[0]) == [["a"], ["b"]]


def test_a_docstart_line_does_not_count_as_a_tag(corpus_file: Path) -> None:
    data = "-DOCSTART-\n\n# sent_id = 1\nEU NNP I-NP B-ORG\n\n# sent_id = 2\nb NN O O\n"
    layout = detect(corpus_file, data)
    assert (layout.comments, layout.known_tags) == ("#", {"B-ORG", "O"})
    assert tokens_of(load(corpus_file, data)[0]) == [["EU"], ["b"]]


def test_hashtags_are_tokens(corpus_file: Path) -> None:
    data = "#RUOK\tO\nDay\tO\n\n#\tO\n#sydney\tB-geo-loc\n"
    corpus, _, _ = load(corpus_file, data)
    assert tokens_of(corpus) == [["#RUOK", "Day"], ["#", "#sydney"]]
    assert detect(corpus_file, data).comments is None


def test_lines_that_begin_with_a_hash_and_lack_the_columns_are_comments(corpus_file: Path) -> None:
    data = "# newdoc id = d1\n# sent_id = 1\n# text = a O\n1\ta\tO\t-\tx\n2\t#\tB-PER\t-\tx\n\n# sent_id = 2\n1\tb\tO\t-\tx\n"
    columns = {"token": 1, "tag": 2}
    assert detect(corpus_file, data, columns=columns).comments == "#"
    assert tokens_of(load(corpus_file, data, columns=columns)[0]) == [["a", "#"], ["b"]]


def test_one_comment_is_detected_and_hash_tokens_beside_it_stay_tokens(corpus_file: Path) -> None:
    data = "# file:\t1\tx\na O\n# O\n#x B-PER\nb B-PER\n"
    assert detect(corpus_file, data).comments == "#"
    assert tokens_of(load(corpus_file, data)[0]) == [["a", "#", "#x", "b"]]


def test_tags_decide_about_a_file_in_which_every_line_begins_with_a_hash(corpus_file: Path) -> None:
    assert detect(corpus_file, "#a\tO\n#b\tB-PER\n").comments is None
    assert tokens_of(load(corpus_file, "#a\tO\n#b\tB-PER\n")[0]) == [["#a", "#b"]]
    assert detect(corpus_file, "# nothing here\n# at all\n").comments == "#"


def test_comments_none_makes_every_line_a_token(corpus_file: Path) -> None:
    layout = detect(corpus_file, "# NN O\n#\tNN\tX\n#\tNN\tX\n", comments="none")
    assert (layout.n_columns, layout.written_delimiter, layout.known_tags) == (3, "\t", {"O", "X"})
    layout = detect(corpus_file, "# text\na O\n", comments="none")
    assert layout.comments is None
    with open(corpus_file, "rb") as stream:  # noqa: PTH123 (as a user's script may open it)
        assert [s.tokens for s in read_sentences(stream, layout)] == [["#", "a"]]


def test_users_can_choose_the_prefix_of_comments(corpus_file: Path) -> None:
    layout = detect(corpus_file, "%% text of it\na O\n%% O\n# O\n", comments="%%")
    assert layout.comments == "%%"
    corpus, _, _ = load_training(corpus_file, layout, "auto")
    assert tokens_of(corpus) == [["a", "%%", "#"]]
    assert detect(corpus_file, "a O\n", comments="%").comments == "%", "the prefix is kept although no comment was seen"


# --- Column count and delimiter ------------------------------------------------------------------------------------


def test_the_usual_column_count_the_tags_and_the_delimiter_are_detected(corpus_file: Path) -> None:
    layout = detect(corpus_file, "a NN O\nb NN B-PER\nc\tNN\tI-PER\nd\n")
    assert (layout.n_columns, layout.written_delimiter) == (3, " ")
    assert {"O", "B-PER", "I-PER"} <= layout.known_tags
    assert detect(corpus_file, "a\tO\nb\tO\nc O\n").written_delimiter == "\t"
    assert detect(corpus_file, "a,O\nb,O\n", delimiter=",").written_delimiter == ","
    assert detect(corpus_file, "a\nb\n").written_delimiter == "\t"


def test_detection_keeps_the_settings_of_the_config(corpus_file: Path) -> None:
    layout = detect(corpus_file, "1 日 O\n".encode("euc_jp"), columns={"token": 1, "tag": 2}, encoding="euc_jp")
    assert (dict(layout.columns), layout.encoding, layout.delimiter) == ({"token": 1, "tag": 2}, "euc_jp", "auto")


def test_a_byte_order_mark_does_not_hide_a_comment(corpus_file: Path) -> None:
    data = "\ufeff# text = a b c\na\tO\n"
    assert detect(corpus_file, data).comments == "#"
    assert tokens_of(load(corpus_file, data)[0]) == [["a"]]


def test_detection_names_the_line_of_an_invalid_byte(corpus_file: Path) -> None:
    with pytest.raises(DataError) as caught:
        detect(corpus_file, b"a O\n\nb\xe4 O\n")
    assert caught.value.message == (
        f"{corpus_file}:3: byte 0xE4 at offset 1 of the line is not valid utf-8; name the file's encoding with"
        " data.encoding, or fix the line"
    )


# --- Loading -------------------------------------------------------------------------------------------------------


def test_training_tags_are_canonical_and_sentences_keep_the_tags_of_the_file(corpus_file: Path) -> None:
    corpus, notation, notes = load(corpus_file, "-DOCSTART- 0\n\na b_per\nb i_per\nc 0\n\n\nd b_loc\n\n# end\n")
    assert tokens_of(corpus) == [["a", "b", "c"], ["d"]]
    assert corpus.tags == [["B-per", "I-per", "O"], ["B-loc"]]
    assert [sentence.tags for sentence in corpus.sentences] == [["b_per", "i_per", "0"], ["b_loc"]]
    assert notation == Notation(scheme="IOB2", outside="0", separator="_", prefixes={"B": "b", "I": "i"})
    assert (len(corpus), corpus.n_tokens, corpus.path, notes) == (2, 4, str(corpus_file), [])


def test_a_dev_file_is_read_in_the_training_files_notation(corpus_file: Path) -> None:
    corpus_file.write_text("a I-PER\nb I-PER\n", encoding="utf-8")  # detection without the training file would find IO
    assert load_gold(corpus_file, Layout(), Notation(scheme="IOB2")).tags == [["I-PER", "I-PER"]]
    corpus_file.write_text("a\tPER\nb\t0\n", encoding="utf-8")
    assert load_gold(corpus_file, Layout(), Notation(scheme="IO", bare=True)).tags == [["I-PER", "O"]]
    assert load_gold(corpus_file, Layout(), Notation(scheme=NO_SCHEME)).tags == [["PER", "0"]]


def test_a_file_of_nothing_but_comments_is_refused_with_what_to_do_if_they_are_tokens(corpus_file: Path) -> None:
    for data in ("# only a comment\n", "# B-PER\n# O\n\n# O\n# B-LOC\n"):
        with pytest.raises(DataError) as caught:
            load(corpus_file, data)
        assert caught.value.message == (
            f"{corpus_file}: found no sentence, expected lines with a token and a tag; set data.comments to none if lines"
            " that begin with # are not comments"
        )


@pytest.mark.parametrize("data", ["", "\n\n", "-DOCSTART- O\n\n"])
def test_a_file_without_a_sentence_is_refused(corpus_file: Path, data: str) -> None:
    with pytest.raises(DataError) as caught:
        load(corpus_file, data)
    assert caught.value.message == (
        f"{corpus_file}: found no sentence, expected lines with a token and a tag; check the file"
    )


def test_a_question_mark_in_another_file_than_the_training_file_is_a_matter_of_the_training(corpus_file: Path) -> None:
    corpus_file.write_text("a B-PER\nb ?\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_gold(corpus_file, Layout(), Notation(scheme="IOB2"))
    assert caught.value.message == (
        f"{corpus_file}:2: tag '?' does not fit the scheme IOB2, expected another one; if the tokens with it are not"
        " annotated, train with data.unknown_tag: '?'"
    )


def test_a_tag_that_does_not_fit_is_named_with_at_most_three_of_its_lines(corpus_file: Path) -> None:
    remedy = "; fix it, or set data.scheme ('none' means plain tags, which have no spans)"
    as_trained = ", expected tags as in the training file; fix it, or read another column with data.columns.tag"
    data = "a B-PER\n\nb O\nc B-PER\nd X\n\ne X\nf X\ng X\nh Y\n" + "i B-PER\n" * 9
    with pytest.raises(DataError) as caught:
        load(corpus_file, data)
    assert caught.value.message == f"{corpus_file}:5: tag 'X' does not fit the scheme IOB2" + remedy
    assert caught.value.detail == ("line 5: d X", "line 7: e X", "line 8: f X", "… and 1 more")
    with pytest.raises(DataError) as caught:
        load_gold(corpus_file, Layout(), Notation(scheme="BILOU"))
    assert caught.value.message == f"{corpus_file}:5: tag 'X' does not fit the scheme BILOU" + as_trained
    corpus_file.write_text("a B-PER\nb O\nc E-PER\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_gold(corpus_file, Layout(), Notation(scheme="IOB2"))
    assert caught.value.message == f"{corpus_file}:3: tag 'E-PER' does not fit the scheme IOB2" + as_trained
    assert caught.value.detail == ("line 3: c E-PER",)
    corpus_file.write_text("a X\nb B-PER\nc Y\nd O\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_training(corpus_file, Layout(), "auto")
    assert caught.value.message == (
        f"{corpus_file}:1: tag 'X' does not fit the scheme IOB2; set data.scheme to none if these are plain tags, which"
        " have no spans; otherwise fix it"
    )


def test_a_bad_tag_does_not_hide_the_scheme_of_its_sentence(corpus_file: Path) -> None:
    with pytest.raises(DataError) as caught:  # one B- after O is enough to detect IOB2
        load(corpus_file, "a O\nb B-PER\nc X\n")
    assert caught.value.message.startswith(f"{corpus_file}:3: tag 'X' does not fit the scheme IOB2; ")


def test_an_ambiguous_scheme_is_reported_with_the_file(corpus_file: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(corpus_file, "a PER\nb O\n")
    assert caught.value.message.startswith(f"{corpus_file}: scheme: cannot tell whether")
    assert caught.value.detail == ("tags found: O, PER", "line 1: a PER")


# --- Several files that are one corpus ------------------------------------------------------------------------------


def files(folder: Path, **texts: str) -> list[str]:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [str(folder / name) for name in texts]


def several(paths: list[str], scheme: str = "auto") -> tuple[Corpus, Notation, list[str]]:
    return load_training(paths, detect_layouts(paths, Requested()).layout, scheme)


def test_several_files_are_one_corpus_in_their_order(tmp_path: Path) -> None:
    paths = files(tmp_path, b="a I-PER\nb O\n", a="c I-PER\nd B-PER\n\ne O\n", c="f I-LOC\n")
    corpus, notation, _ = several(paths)
    assert notation.scheme == "IOB1", "only one of the files shows that it is not IO"
    assert tokens_of(corpus) == [["a", "b"], ["c", "d"], ["e"], ["f"]]
    assert [sentence.path for sentence in corpus.sentences] == [paths[0], paths[1], paths[1], paths[2]]
    assert [sentence.first_line for sentence in corpus.sentences] == [1, 1, 4, 1]
    assert corpus.path == f"{paths[0]} and 2 more files"
    pieces, _ = cut_long(corpus, 1)
    assert [(piece.path, piece.line) for piece in pieces][:4] == [
        (paths[0], 1),
        (paths[0], 2),
        (paths[1], 1),
        (paths[1], 2),
    ]
    dev = load_gold(paths, Layout(), notation)
    assert (dev.tags, dev.path) == (corpus.tags, corpus.path)


def test_comments_of_one_file_are_comments_in_all(tmp_path: Path) -> None:
    paths = files(tmp_path, a="a B-PER\nb O\n", b="# text = c d e\nc O\n")
    layout = detect_layouts(paths, Requested()).layout
    assert (layout.comments, layout.known_tags) == ("#", {"B-PER", "O"})
    assert tokens_of(several(paths)[0]) == [["a", "b"], ["c"]]


def test_a_tag_that_does_not_fit_is_located_in_its_own_file(tmp_path: Path) -> None:
    paths = files(tmp_path, a="a B-PER\nb O\n" * 20, b="c O\n\nd X\n", c="e X\n")
    with pytest.raises(DataError) as caught:
        several(paths)
    assert caught.value.message.startswith(f"{paths[1]}:3: tag 'X' does not fit the scheme IOB2; ")
    assert caught.value.detail == ("line 3: d X", f"{paths[2]}:1: e X")
    with pytest.raises(DataError) as caught:
        load_gold(paths, Layout(), Notation(scheme="IOB2"))
    assert caught.value.message.startswith(f"{paths[1]}:3: tag 'X' does not fit the scheme IOB2, expected tags as in")


def test_the_examples_of_an_error_name_the_other_file_that_they_are_in(tmp_path: Path) -> None:
    paths = files(tmp_path, a="a PER\nb O\n" * 20, b="c LOC\n\nd O\n" * 20)
    with pytest.raises(DataError, match="scheme: cannot tell") as caught:
        several(paths)
    assert caught.value.detail[-2:] == ("line 1: a PER", f"{paths[1]}:1: c LOC")


def one(folder: Path, name: str, *rows: str) -> str:
    return files(folder, **{name: "\n".join(row.replace(" ", "\t") for row in rows) + "\n"})[0]


def test_a_dev_file_with_its_words_in_another_column_is_doubted(tmp_path: Path) -> None:
    words = [chr(97 + i // 5) * (1 + i % 5) for i in range(60)]
    layout = detect_layouts(
        one(tmp_path, "train", *(f"{w} {'B-X' if i % 3 else 'O'}" for i, w in enumerate(words))), Requested()
    ).layout

    def compared(row: str) -> tuple[str | None, str | None]:
        path = one(
            tmp_path, "dev", *(row.format(i=i, word=w, tag="B-X" if i % 3 else "O") for i, w in enumerate(words))
        )
        return compare_columns(load_gold(path, layout, Notation(scheme="IOB2")).sentences, layout)

    assert compared("{word} {tag}") == (None, None)
    found = "its lines have 3 columns, those of the training file 2"
    assert compared("{word} NN {tag}") == (
        f"{found}; the token is read from column 0 (a, aa, aaa, …), the tag from column 2",
        None,
    )
    assert compared("{i} {word} {tag}") == (
        None,
        f"{found}, and the token is read from column 0 (0, 1, 2, …), expected words, as in column 1; give it the columns"
        " of the training file",
    )
    with pytest.raises(DataError) as caught:
        compared("{word} {tag} NN")
    assert caught.value.message.endswith(
        "tag 'NN' does not fit the scheme IOB2, and the lines have 3 columns, those of the training file 2, so the tags"
        " may be in another column; set data.columns.tag to it, or remove the columns that the training file does not"
        " have"
    )


def test_files_with_another_layout_or_notation_are_named(tmp_path: Path) -> None:
    iob2, iobes = "a B-PER\nb I-PER\nc O\nd B-LOC\n\n" * 9, "a B-PER\nb E-PER\nc O\nd S-LOC\n\n" * 9
    paths = files(tmp_path, a=iob2, b=iob2, c=iobes)
    with pytest.raises(DataError) as caught:
        several(paths)
    assert caught.value.message == (
        f"{paths[2]}: found tags in IOBES, expected IOB2 as in {paths[0]}: several training files must have one notation;"
        " convert it, or leave it out"
    )
    paths = files(tmp_path, a=iob2, b=iob2.replace("O", "_"))
    with pytest.raises(DataError, match=r"b: found tags in IOB2, spelled _, expected IOB2 as in "):
        several(paths)
    paths = files(tmp_path, a=iob2, b=iob2.replace(" ", "\t"))
    with pytest.raises(DataError) as caught:
        several(paths)
    assert caught.value.message == (
        f"{paths[1]}: found 2 columns by TAB (token 0, tag -1), expected 2 columns by space (token 0, tag -1) as in"
        f" {paths[0]}: several training files must have one layout; convert it, or leave it out"
    )
    paths = files(tmp_path, a=iob2, b=iob2.replace(" ", " NN "))
    with pytest.raises(
        DataError, match=r"b: found 3 columns by space \(token 0, tag -1\), expected 2 columns by space"
    ):
        several(paths)


def test_every_file_must_hold_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        several(files(tmp_path, a="a B-PER\nb O\n", b="\n"))
    assert "found no sentence" in caught.value.message or "found 0 columns" in caught.value.message


# --- A dev or test file in another notation -----------------------------------------------------------------------


def test_a_dev_file_in_another_scheme_is_read_by_its_spans_with_a_note(corpus_file: Path) -> None:
    corpus_file.write_text("a B-PER\nb E-PER\nc S-LOC\nd O\n\ne S-ORG\n", encoding="utf-8")
    trained = Notation(scheme="IOB2")
    corpus = load_gold(corpus_file, Layout(), trained)
    assert corpus.notation == Notation(scheme="IOBES")
    assert [spans_from_tags(tags) for tags in corpus.tags] == [
        [Span("PER", 0, 2), Span("LOC", 2, 3)],
        [Span("ORG", 0, 1)],
    ]
    assert note_on_notation(corpus, trained) == (
        "its tags are IOBES, those of the training data IOB2; their spans are compared"
    )
    assert note_on_notation(corpus, Notation(scheme="IOBES")) is None


def test_the_note_on_iob1_beside_io_names_iob1(corpus_file: Path) -> None:
    corpus_file.write_text("a I-PER\nb B-PER\nc O\n", encoding="utf-8")
    corpus = load_gold(corpus_file, Layout(), Notation(scheme="IO"))
    assert corpus.notation.scheme == "IOB1"
    assert note_on_notation(corpus, Notation(scheme="IO")) == (
        "its tags are IOB1, those of the training data IO; their spans are compared; training with data.scheme IOB1"
        " would read both in the same way"
    )


def test_in_another_scheme_the_types_that_training_never_saw_are_counted() -> None:
    train = corpus_of("B-PER I-PER O")
    other = dataclasses.replace(corpus_of("B-PER E-PER S-LOC O B-ORG E-ORG"), notation=Notation(scheme="IOBES"))
    assert unseen_tags(train, other) == {"ORG": 2, "LOC": 1}


# --- Holding out a dev set -----------------------------------------------------------------------------------------


@given(n=st.integers(2, 60), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 5))
def test_a_split_is_a_partition_in_file_order_and_depends_on_the_seed(n: int, fraction: float, seed: int) -> None:
    corpus = corpus_of(*(f"B-{i}" for i in range(n)))
    train, dev = split_dev(corpus, fraction, seed)
    train_tokens, dev_tokens = tokens_of(train), tokens_of(dev)
    assert sorted(train_tokens + dev_tokens) == sorted(tokens_of(corpus))
    for part in (train, dev):
        rows = [int(tags[0].removeprefix("B-")) for tags in part.tags]
        assert rows == sorted(rows)
        assert tokens_of(part) == [corpus.sentences[i].tokens for i in rows], "a sentence lost its own tags"
    assert len(dev) == min(max(1, round(n * fraction)), n - 1)
    again, _ = split_dev(corpus, fraction, seed)
    assert tokens_of(again) == train_tokens


def test_another_seed_holds_out_other_sentences() -> None:
    corpus = corpus_of(*["O"] * 100)
    drawn = {tuple(map(tuple, tokens_of(split_dev(corpus, 0.1, seed)[1]))) for seed in range(10)}
    assert len(drawn) == 10


def test_one_sentence_cannot_be_split() -> None:
    with pytest.raises(DataError) as caught:
        split_dev(corpus_of("O O"), 0.1, 1)
    assert caught.value.message == (
        "f.conll: found one sentence, expected at least two to hold out a dev set; set data.dev"
    )


def test_tags_that_are_not_in_the_training_data_are_counted_by_token() -> None:
    train = corpus_of("B-PER O", "I-PER")
    assert unseen_tags(train, corpus_of("B-LOC O B-ORG", "B-ORG I-PER")) == {"B-ORG": 2, "B-LOC": 1}
    assert unseen_tags(train, corpus_of("O B-PER")) == {}


# --- The benchmark corpora and the counts in their README ----------------------------------------------------------

README = [
    ("conll2000/train.txt", {"token": 0, "pos": 1, "tag": 2}, "IOB2", None, 3, " ", (8936, 211727, 106978)),
    ("conll2000/test.txt", {"token": 0, "tag": -1}, "IOB2", None, 3, " ", (2012, 47377, 23852)),
    ("wnut17/train.conll", {"token": 0, "tag": -1}, "IOB2", None, 2, "\t", (3394, 62730, 1975)),
    ("wnut17/dev.conll", {"token": 0, "tag": 1}, "IOB2", None, 2, "\t", (1009, 15733, 836)),
    ("wnut17/test.conll", {"token": 0, "tag": -1}, "IOB2", None, 2, "\t", (1287, 23394, 1079)),
    ("wikigold/wikigold.conll", {"token": 0, "tag": -1}, "IO", None, 2, " ", (1696, 39007, 3558)),
    ("chinese/zh_gsd-ud-train.iob2", {"token": 1, "tag": 2}, "IOB2", "#", 5, "\t", (3997, 98616, 6136)),
]


def counts(corpus: Corpus) -> tuple[int, int, int]:
    """Return the numbers of sentences, tokens and entities."""
    return len(corpus), corpus.n_tokens, sum(len(spans_from_tags(tags)) for tags in corpus.tags)


@pytest.mark.corpora
@pytest.mark.parametrize(
    ("name", "columns", "scheme", "comments", "n_columns", "delimiter", "expected"),
    README,
    ids=[row[0] for row in README],
)
def test_a_benchmark_corpus_has_the_counts_in_its_readme(
    corpora: Path,
    name: str,
    columns: dict[str, int],
    scheme: str,
    comments: str | None,
    n_columns: int,
    delimiter: str,
    expected: tuple[int, int, int],
) -> None:
    layout = detect_layout(corpora / name, Requested(columns=columns)).layout
    assert (layout.comments, layout.n_columns, layout.written_delimiter) == (comments, n_columns, delimiter)
    corpus, notation, notes = load_training(corpora / name, layout, "auto")
    assert (notation, notes) == (Notation(scheme=scheme), [])
    assert counts(corpus) == expected


@pytest.mark.corpora
def test_nerkor_is_refused_for_its_one_bad_tag_and_read_after_the_tag_is_fixed(corpora: Path, tmp_path: Path) -> None:
    path = corpora / "nerkor" / "train.tsv.gz"
    with pytest.raises(DataError) as caught:
        load_training(path, Layout(), "auto")
    assert caught.value.message.startswith(f"{path}:297269: tag 'V' does not fit the scheme IOB2; ")
    assert caught.value.detail == ("line 297269: / V",)
    repaired_path = tmp_path / "train.tsv"
    repaired_path.write_bytes(gzip.decompress(path.read_bytes()).replace(b"/\tV\n", b"/\tO\n"))
    corpus, notation, _ = load_training(repaired_path, Layout(), "auto")
    assert notation == Notation(scheme="IOB2")
    assert counts(corpus) == (52771, 810656, 37064)


@pytest.mark.corpora
def test_no_token_of_conll2000_is_lost_with_part_of_speech_tags(corpora: Path) -> None:
    path = corpora / "conll2000" / "train.txt"
    columns = {"token": 0, "tag": 1}
    corpus, _, _ = load_training(path, detect_layout(path, Requested(columns=columns)).layout, "none")
    assert (len(corpus), corpus.n_tokens) == (8936, 211727)


@pytest.mark.corpora
@pytest.mark.parametrize(
    ("name", "encoding", "notation", "n_sentences", "n_tokens"),
    [
        ("btc-f.conll", "utf-8", Notation(scheme="IOB2"), 2000, 35427),
        ("japanese-eucjp.data", "euc_jp", Notation(scheme="IOB2"), 216, 4772),
        ("japanese-seg.data", "utf-8", Notation(scheme="IOB2", typed=False), 36, 965),
        ("basenp.data", "utf-8", Notation(scheme="IOB2", typed=False), 77, 1896),
    ],
)
def test_valid_messy_corpora_are_read(
    corpora: Path, name: str, encoding: str, notation: Notation, n_sentences: int, n_tokens: int
) -> None:
    path = corpora / "messy" / name
    corpus, found, notes = load_training(path, detect_layout(path, Requested(encoding=encoding)).layout, "auto")
    assert (found, notes) == (notation, [])
    # Counted without the code under test: every nonblank line is a token, and its last field is the tag.
    rows = [line for line in path.read_text(encoding).split("\n") if line.strip(" \t")]
    tags = [row.replace("\t", " ").split(" ")[-1] for row in rows]
    assert collections.Counter(tag for s in corpus.sentences for tag in s.tags) == collections.Counter(tags)
    assert counts(corpus) == (n_sentences, n_tokens, len(spans_of_seqeval(corpus.tags)))


@pytest.mark.corpora
def test_errors_of_messy_corpora_name_the_line(corpora: Path) -> None:
    needs = (
        "a tag counted from the end (tag: -1) needs the same number on every line; fix the line, or give the tag column"
        " a fixed index"
    )
    for name, message, detail in [
        ("swedish-train.txt", f"90310: found 1 column, expected 2 as on most lines: {needs}", "line 90310: bn"),
        ("europeana-de-sbb.bio", f"129: found 1 column, expected 2 as on most lines: {needs}", "line 129: worden"),
    ]:
        path = corpora / "messy" / name
        with pytest.raises(DataError) as caught:
            load_training(path, detect_layout(path, Requested()).layout, "auto")
        assert (caught.value.message, caught.value.detail) == (f"{path}:{message}", (detail,))


@pytest.mark.corpora
def test_comments_of_europeana_are_skipped_and_its_hash_tokens_are_kept(corpora: Path) -> None:
    path = corpora / "messy" / "europeana-de-sbb.bio"
    layout = detect_layout(path, Requested()).layout
    assert (layout.comments, layout.n_columns, layout.written_delimiter) == ("#", 2, " ")
    with path.open("rb") as stream:
        (sentence,) = read_sentences(stream, layout)
    assert len(sentence.tokens) == 47281 - 42
    assert sentence.tokens.count("#") == 4


@pytest.mark.corpora
def test_swedish_without_its_broken_line_is_bare_io_with_0_as_the_outside_tag(corpora: Path, corpus_file: Path) -> None:
    lines = (corpora / "messy" / "swedish-train.txt").read_text("utf-8").split("\n")
    del lines[90310 - 1]
    data = "\n".join(lines)
    with pytest.raises(DataError, match="cannot tell whether tags without prefixes are spans or plain tags"):
        load(corpus_file, data)
    corpus, notation, notes = load(corpus_file, data, scheme="IO")
    assert (notation, notes) == (Notation(scheme="IO", outside="0", bare=True), [])
    assert counts(corpus) == (6885, 113124, len(spans_of_seqeval(corpus.tags)))
    assert [tag for tags in corpus.tags for tag in map(notation.spell, tags)] == [
        line.replace("\t", " ").split(" ")[-1] for line in lines if line.strip(" \t")
    ]
    plain, notation, _ = load(corpus_file, data, scheme="none")
    assert notation == Notation(scheme=NO_SCHEME)
    assert set(plain.tags[0]) <= {"0", "PER", "LOC", "ORG", "MISC"}
