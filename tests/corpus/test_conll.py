from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from streams import FailingStream, TricklingStream

from tagger.corpus import conll
from tagger.corpus.conll import Sentence, read_sentences, write_sentence
from tagger.corpus.layout import Layout
from tagger.corpus.lines import open_corpus
from tagger.errors import DataError


def read(data: bytes, layout: Layout | None = None, *, gold: bool = False) -> list[Sentence]:
    return list(read_sentences(io.BytesIO(data), layout or Layout(), path="f.conll", gold=gold))


def first_line(data: bytes, layout: Layout | None = None, *, gold: bool = True) -> str:
    """The first line of the error that reading the data raises."""
    with pytest.raises(DataError) as caught:
        read(data, layout, gold=gold)
    return caught.value.message


def tagged(data: bytes, tag: str = "X", layout: Layout | None = None) -> bytes:
    layout = layout or Layout()
    return b"".join(write_sentence(s, [[tag] * len(s.tokens)], layout) for s in read(data, layout))


# --- Generated files: each line records what the reader must find in it ---------------------------------------------


@dataclasses.dataclass(frozen=True)
class Line:
    body: str
    kind: str  # token | blank | comment | docstart
    token: str = ""
    delimiter: str | None = None


# A token may hold any character except blanks, line ends and byte-order marks, which have a meaning of their own.
_CHARACTERS = st.characters(exclude_characters=" \t\r\n\ufeff", exclude_categories=["Cs"])
_PECULIAR = ["\u3000", "\u00a0", "\u2028", "\x85", "\x0b", "\x0c", "\x1e", "\x00", "e\u0301", "👩‍👩‍👧", "ł", "語", '"']
_WORDS = st.one_of(st.sampled_from(_PECULIAR), st.text(_CHARACTERS, min_size=1, max_size=4)).filter(
    lambda word: not word.startswith("#") and word != "-DOCSTART-"
)


@st.composite
def token_lines(draw: st.DrawFn) -> Line:
    words = draw(st.lists(_WORDS, min_size=1, max_size=4))
    if draw(st.booleans()):  # TAB separates the columns: the token may hold blanks
        if draw(st.booleans()):
            words[0] += " " + words[0]
        trailing = draw(st.sampled_from(["", "", "\t", "\t\t"])) if len(words) > 1 else "\t"
        return Line("\t".join(words) + trailing, "token", words[0], "\t")
    gap = draw(st.sampled_from([" ", "  "]))
    body = draw(st.sampled_from(["", "", " "])) + gap.join(words) + draw(st.sampled_from(["", "", " ", "  "]))
    return Line(body, "token", words[0], " " if " " in body else None)


_LINES = st.one_of(
    token_lines(),
    token_lines(),
    token_lines(),
    st.sampled_from(["", "", " ", "\t", " \t "]).map(lambda body: Line(body, "blank")),
    st.sampled_from(["# text = a b", "#", "#\tcomment", "# ü"]).map(lambda body: Line(body, "comment")),
    st.sampled_from(["-DOCSTART- -X- O O", "-DOCSTART-", "-DOCSTART-\tO", "-DOCSTART- "]).map(
        lambda body: Line(body, "docstart", "-DOCSTART-", next((d for d in "\t " if d in body), None))
    ),
)


@st.composite
def files(draw: st.DrawFn) -> tuple[bool, list[tuple[Line, str]]]:
    """Draw whether the file begins with a byte-order mark, and its lines with their line ends."""
    lines = draw(st.lists(_LINES, max_size=12))
    ends = draw(
        st.one_of(
            st.sampled_from(["\n", "\r\n", "\r"]).map(lambda end: [end] * len(lines)),
            st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=len(lines), max_size=len(lines)),
        )
    )
    for i in range(1, len(lines)):
        if ends[i - 1] == "\r" and not lines[i].body:
            lines[i] = Line(" ", "blank")  # with an empty line here, CR and LF would join to one CRLF
    if lines and lines[-1].body and draw(st.booleans()):
        ends[-1] = ""
    return draw(st.booleans()), list(zip(lines, ends, strict=True))


def bytes_of(bom: bool, lines: list[tuple[Line, str]]) -> bytes:
    return (("\ufeff" if bom else "") + "".join(line.body + end for line, end in lines)).encode()


def expected_tokens(lines: list[tuple[Line, str]]) -> list[list[str]]:
    sentences: list[list[str]] = [[]]
    for line, _ in lines:
        if line.kind in ("blank", "docstart"):
            sentences.append([])
        elif line.kind == "token":
            sentences[-1].append(line.token)
    return [tokens for tokens in sentences if tokens]


_COMMENTED = Layout(columns={"token": 0}, comments="#")


@given(files())
@example((False, []))
@example((True, []))
@example((True, [(Line("-DOCSTART-", "docstart", "-DOCSTART-"), "\n"), (Line("a", "token", "a"), "")]))
def test_the_lines_of_all_sentences_make_up_the_file(file: tuple[bool, list[tuple[Line, str]]]) -> None:
    data = bytes_of(*file)
    for stream in (io.BytesIO(data), TricklingStream(data)):
        sentences = list(read_sentences(stream, _COMMENTED))
        assert b"".join(line for sentence in sentences for line in sentence.lines) == data
        assert [s.tokens for s in sentences if s.tokens] == expected_tokens(file[1])


@given(files())
def test_written_lines_are_the_input_with_one_column_before_the_line_end(
    file: tuple[bool, list[tuple[Line, str]]],
) -> None:
    layout = dataclasses.replace(_COMMENTED, written_delimiter="\t")
    written, n_tokens = b"", 0
    for sentence in read_sentences(TricklingStream(bytes_of(*file)), layout):
        values = [f"T{n_tokens + i}" for i in range(len(sentence.tokens))]
        n_tokens += len(values)
        written += write_sentence(sentence, [values], layout)
    expected, n_expected = "\ufeff" if file[0] else "", 0
    for line, end in file[1]:
        expected += line.body
        if line.kind == "token":
            expected += f"{line.delimiter or chr(9)}T{n_expected}"
            n_expected += 1
        elif line.kind == "docstart":
            expected += f"{line.delimiter or chr(9)}O"
        expected += end
    assert written == expected.encode()


@given(files())
def test_a_written_file_is_read_with_the_same_tokens_and_the_added_column_last(
    file: tuple[bool, list[tuple[Line, str]]],
) -> None:
    written = b"".join(
        write_sentence(s, [[f"T{len(token)}" for token in s.tokens]], _COMMENTED)
        for s in read_sentences(io.BytesIO(bytes_of(*file)), _COMMENTED)
    )
    again = list(read_sentences(io.BytesIO(written), _COMMENTED))
    assert [s.tokens for s in again if s.tokens] == expected_tokens(file[1])
    split = _COMMENTED.splitter()
    for sentence in again:
        last = [split(sentence.lines[row].decode().rstrip("\r\n"))[-1] for row in sentence.token_rows]
        assert last == [f"T{len(token)}" for token in sentence.tokens]


@pytest.mark.parametrize("n_bytes", range((1 << 16) - 5, (1 << 16) + 2))
def test_characters_and_line_ends_at_a_block_boundary_stay_whole(n_bytes: int) -> None:
    data = b"a" * n_bytes + "語\r\n\r\nb\r".encode()
    sentences = read(data, Layout(columns={"token": 0}))
    assert [s.tokens for s in sentences] == [["a" * n_bytes + "語"], ["b"]]
    assert b"".join(line for s in sentences for line in s.lines) == data


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252", "euc_jp", "shift_jis", "gb18030", "big5", "gbk"])
def test_every_encoding_is_written_back_byte_for_byte(encoding: str) -> None:
    words = {"latin-1": "é\u00a0ß", "cp1252": "“ÿ”\u00a0"}.get(encoding, "日本語\u3000東京一丁")
    data = f"# {words}\n{words}\tB-PER\r\n{words}x\tO\r\r{words}\tO".encode(encoding)
    layout = Layout(encoding=encoding, comments="#")
    sentences = list(read_sentences(TricklingStream(data), layout, gold=True))
    assert [s.tokens for s in sentences] == [[words, words + "x"], [words]]
    assert [s.tags for s in sentences] == [["B-PER", "O"], ["O"]]
    written = b"".join(write_sentence(s, [s.tags], layout) for s in sentences)
    assert written == f"# {words}\n{words}\tB-PER\tB-PER\r\n{words}x\tO\tO\r\r{words}\tO\tO".encode(encoding)


def test_a_byte_order_mark_is_not_part_of_the_first_token_and_is_written_back() -> None:
    for data in (b"\xef\xbb\xbfEU\tB-ORG\n", b"\xef\xbb\xbf-DOCSTART-\tO\n\nEU\tB-ORG\n"):
        assert [s.tokens for s in read(data) if s.tokens] == [["EU"]]
        assert tagged(data).startswith(b"\xef\xbb\xbf")


def test_the_encoding_utf_8_sig_writes_no_mark_before_the_added_column() -> None:
    layout = Layout(encoding="utf-8-sig")
    assert tagged(b"\xef\xbb\xbfa\tB\nb\tI\n", layout=layout) == b"\xef\xbb\xbfa\tB\tX\nb\tI\tX\n"


def test_tokens_that_look_like_blanks_are_tokens() -> None:
    tokens = ["\u3000", "\u00a0", "\u2003", "\x0b", "\x1f", "\u200b", "\x00"]
    data = "".join(f"{token}\tO\n" for token in tokens).encode()
    (sentence,) = read(data, gold=True)
    assert sentence.tokens == tokens
    assert tagged(data) == "".join(f"{token}\tO\tX\n" for token in tokens).encode()


# --- Sentences -----------------------------------------------------------------------------------------------------


def test_a_sentence_owns_the_lines_up_to_its_closing_blank_line() -> None:
    data = b"\n# one\na O\n# inside\nb O\n \t\n\n-DOCSTART- O\n\nc O\n-DOCSTART- O\nd O\n\n# end\n\n"
    sentences = read(data, Layout(comments="#"), gold=True)
    assert [(s.tokens, s.tags, s.lines, list(s.token_rows), s.docstart_rows, s.first_line) for s in sentences] == [
        ([], [], [b"\n"], [], [], 1),
        (["a", "b"], ["O", "O"], [b"# one\n", b"a O\n", b"# inside\n", b"b O\n", b" \t\n"], [1, 3], [], 2),
        ([], [], [b"\n"], [], [], 7),
        ([], [], [b"-DOCSTART- O\n", b"\n"], [], [0], 8),
        (["c"], ["O"], [b"c O\n"], [0], [], 10),
        (["d"], ["O"], [b"-DOCSTART- O\n", b"d O\n", b"\n"], [1], [0], 11),
        ([], [], [b"# end\n", b"\n"], [], [], 14),
    ]
    lines = data.splitlines(keepends=True)
    for sentence in sentences:
        for i, token in enumerate(sentence.tokens):
            assert lines[sentence.line_number(i) - 1] == f"{token} O\n".encode()


def test_a_run_of_blank_lines_is_one_sentence_whatever_its_length() -> None:
    for blank in (b"\n", b"\r\n", b" \t\n"):
        data = b"a O\n" + blank * 5000 + b"b O\n\n" + blank * 3
        found = read(data, Layout(columns={"token": 0, "tag": 1}), gold=True)
        assert b"".join(line for sentence in found for line in sentence.lines) == data
        assert [(s.tokens, s.first_line) for s in found if s.tokens] == [(["a"], 1), (["b"], 5002)]
        assert len(found) < 15
        assert not any(sentence.continues for sentence in found)


def test_a_docstart_line_is_recognized_by_its_first_or_its_token_column() -> None:
    layout = Layout(columns={"token": 1, "tag": 2})
    for data in (b"0\t-DOCSTART-\tO\n\n1\ta\tO\n", b"-DOCSTART- -X- O\n1\ta\tO\n", b"-DOCSTART-\n1\ta\tO\n"):
        first, *_, last = read(data, layout, gold=True) * 2
        assert (first.docstart_rows, last.tokens) == ([0], ["a"])
    assert read(b"1\ta\tO\t-DOCSTART-\n", layout)[0].tokens == ["a"]
    assert read(b"-DOCSTART-s O\nx -DOCSTART- O\n")[0].tokens == ["-DOCSTART-s", "x"]


def test_files_without_sentences_are_read_and_written_whole() -> None:
    assert read(b"") == []
    for data in (b"\n", b"\n\n", b" \t\n", b"\xef\xbb\xbf", b"-DOCSTART- O\n\n"):
        assert not any(s.tokens for s in read(data))
        assert b"".join(line for s in read(data) for line in s.lines) == data
    assert tagged(b"\n \n") == b"\n \n"
    assert tagged(b"-DOCSTART- -X-\n\n") == b"-DOCSTART- -X- O\n\n"


def test_a_sentence_of_100_000_tokens_is_one_sentence() -> None:
    data = b"".join(b"t%d O\n" % i for i in range(100_000))
    (sentence,) = read(data)
    assert sentence.tokens[::99_999] == ["t0", "t99999"]
    assert len(sentence.tokens) == 100_000
    assert tagged(data) == data.replace(b"\n", b" X\n")


def test_a_sentence_is_yielded_before_the_stream_ends() -> None:
    first = next(read_sentences(FailingStream(b"a O\n\nb O\n"), Layout(), path="f.conll"))
    assert first.tokens == ["a"]


def test_the_tag_column_is_ignored_without_gold() -> None:
    (sentence,) = read(b"a\nb c d\n")
    assert (sentence.tokens, sentence.tags, sentence.lines) == (["a", "b"], [], [b"a\n", b"b c d\n"])


def test_blanks_around_a_gold_tag_are_not_part_of_it() -> None:
    data = b"New York \t B-LOC \na\tO\t\n"
    (sentence,) = read(data, gold=True)
    assert (sentence.tokens, sentence.tags) == (["New York ", "a"], ["B-LOC", "O"])


# --- Writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "layout", "expected"),
    [
        (b"a NN B", Layout(), b"a NN B X"),
        (b"a  NN", Layout(), b"a  NN X"),
        (b"New York\tB", Layout(), b"New York\tB\tX"),
        (b"a b\tNN c", Layout(), b"a b\tNN c\tX"),
        (b"a", Layout(), b"a\tX"),
        (b"a", Layout(written_delimiter=" "), b"a X"),
        (b"a\tB", Layout(delimiter="space", columns={"token": 0}), b"a\tB X"),
        (b"a B", Layout(delimiter="tab", columns={"token": 0}), b"a B\tX"),
        (b"a|||B", Layout(delimiter="|||"), b"a|||B|||X"),
        (b"a", Layout(delimiter=","), b"a,X"),
    ],
)
def test_the_added_column_uses_the_delimiter_of_its_line(line: bytes, layout: Layout, expected: bytes) -> None:
    for end in (b"\n", b"\r\n", b"\r", b""):
        assert tagged(line + end, layout=layout) == expected + end


def test_several_columns_are_added_in_order_and_docstart_lines_get_their_own() -> None:
    layout = Layout(written_delimiter=" ")
    docstart, sentence = read(b"-DOCSTART-\n\na\tA\nb\n")
    written = write_sentence(docstart, [[], []], layout, docstart_columns=["0", "1"])
    written += write_sentence(sentence, [["T1", "T2"], ["0.5", "0.25"]], layout)
    assert written == b"-DOCSTART- 0 1\n\na\tA\tT1\t0.5\nb T2 0.25\n"


def test_a_column_whose_length_differs_from_the_sentence_is_refused() -> None:
    (sentence,) = read(b"a\nb\n")
    with pytest.raises(ValueError, match=r"^found a column of 1 values, expected 2, one for each token$"):
        write_sentence(sentence, [["T"]], Layout())
    with pytest.raises(ValueError, match=r"shorter|longer"):
        write_sentence(sentence, [["T", "T"], ["1"]], Layout())


# --- Errors: the exact first line ----------------------------------------------------------------------------------


def test_an_invalid_byte_is_named_with_its_line_and_offset() -> None:
    remedy = "; name the file's encoding with data.encoding, or fix the line"
    assert first_line(b"a O\nb O\n\ncaf\xe9 O\n") == (
        "f.conll:4: byte 0xE9 at offset 3 of the line is not valid utf-8" + remedy
    )
    assert (
        first_line(b"\xc3\xa4\xff O\r\n") == "f.conll:1: byte 0xFF at offset 2 of the line is not valid utf-8" + remedy
    )
    assert first_line(b"a O\r\xe8\xaa") == "f.conll:2: byte 0xE8 at offset 0 of the line is not valid utf-8" + remedy
    assert first_line(b"a O\n\x80\n", Layout(encoding="ascii")) == (
        "f.conll:2: byte 0x80 at offset 0 of the line is not valid ascii" + remedy
    )


def test_a_missing_column_is_named_with_its_line() -> None:
    remedy = "; fix the line, or set data.columns and data.delimiter to what the file has"
    fixed = Layout(columns={"token": 0, "tag": 2})
    with pytest.raises(DataError) as caught:
        read(b"a NN O\n\nb NN\n", fixed, gold=True)
    assert caught.value.message == "f.conll:3: found 2 columns, expected at least 3: column 2 (tag) is missing" + remedy
    assert caught.value.detail == ("line 3: b | NN",)
    assert first_line(b"a\n") == "f.conll:1: found 1 column, expected at least 2: column -1 (tag) is missing" + remedy
    assert first_line(b"1\ta\n2\n", Layout(columns={"token": 1}), gold=False) == (
        "f.conll:2: found 1 column, expected at least 2: column 1 (token) is missing" + remedy
    )
    assert first_line(b"a b\n", Layout(columns={"token": 0, "pos": 1, "tag": -1})) == (
        "f.conll:1: found 2 columns, expected at least 3: column -1 (tag) is missing" + remedy
    )


def test_a_tag_counted_from_the_end_needs_the_same_number_of_columns_on_every_line() -> None:
    remedy = (
        ": a tag counted from the end (tag: -1) needs the same number on every line; fix the line, or give the tag"
        " column a fixed index"
    )
    assert first_line(b"# x\n\na NN O\nb NN O\nc O\n", Layout(comments="#")) == (
        "f.conll:5: found 2 columns, expected 3 as on line 3" + remedy
    )
    assert first_line(b"a O\nb\n") == "f.conll:2: found 1 column, expected 2 as on line 1" + remedy


@pytest.mark.parametrize("tag", [-1, 1])
def test_a_line_with_an_extra_column_is_shown_in_both_readings(tag: int) -> None:
    """The extra column may be half of a token (San Porto) or half of a tag (Titre 2), wherever the tag is counted."""
    with pytest.raises(DataError) as caught:
        read(b"# x\n\na O\nSan Porto B-LOC\n", Layout(columns={"token": 0, "tag": tag}, comments="#"), gold=True)
    assert caught.value.message == (
        "f.conll:4: found 3 columns, expected 2 as on line 3: a token or a tag may hold a blank, or a column is extra;"
        " fix the line (between TABs, both can hold blanks), or set data.ragged to true if lines may differ"
    )
    assert caught.value.detail == (
        "line 4: San | Porto | B-LOC",
        "counted from the start: token San, tag Porto",
        "counted from the end: tag B-LOC",
    )


def test_ragged_lines_are_read_if_the_layout_allows_them() -> None:
    data = b"a NN x O\nb NN O\n"
    (sentence,) = read(data, Layout(ragged=True), gold=True)
    assert (sentence.tokens, sentence.tags) == (["a", "b"], ["O", "O"])


def test_gold_tags_need_a_tag_column() -> None:
    assert first_line(b"a O\n", Layout(columns={"token": 0})) == (
        "f.conll: columns: found {'token': 0}, expected a tag column to read gold tags from; add one, as in token=0,tag=-1"
    )


# --- The messy corpora ---------------------------------------------------------------------------------------------


@pytest.mark.corpora
@pytest.mark.parametrize(
    ("name", "layout", "n_sentences", "n_tokens"),  # awk counted runs of nonblank lines, and nonblank lines
    [
        ("btc-f.conll", Layout(), 2000, 35427),
        ("europeana-de-sbb.bio", Layout(), 1, 47281),
        ("swedish-train.txt", Layout(), 6885, 113125),
        ("japanese-eucjp.data", Layout(encoding="euc_jp"), 216, 4772),
        ("japanese-seg.data", Layout(), 36, 965),
        ("basenp.data", Layout(), 77, 1896),
    ],
)
def test_messy_files_are_written_back_byte_for_byte(
    corpora: Path, name: str, layout: Layout, n_sentences: int, n_tokens: int
) -> None:
    path = corpora / "messy" / name
    data = path.read_bytes()
    with open_corpus(path) as stream:
        sentences = list(read_sentences(stream, layout, path=path))
    assert b"".join(line for s in sentences for line in s.lines) == data
    assert (sum(bool(s.tokens) for s in sentences), sum(len(s.tokens) for s in sentences)) == (n_sentences, n_tokens)
    written = b"".join(write_sentence(s, [["@X@"] * len(s.tokens)], layout) for s in sentences)
    assert re.sub(rb"[ \t]@X@(?=[\r\n]|\Z)", b"", written) == data
    assert written.count(b"@X@") == n_tokens


@pytest.mark.corpora
def test_invalid_utf_8_is_refused_with_its_line(corpora: Path) -> None:
    path = corpora / "messy" / "weibo-invalid-utf8.conll"
    lines = path.read_bytes().split(b"\n")
    number = next(i for i, line in enumerate(lines, start=1) if line.decode(errors="replace").encode() != line)
    with pytest.raises(DataError) as caught, open_corpus(path) as stream:
        list(read_sentences(stream, Layout(), path=path))
    assert caught.value.message.startswith(f"{path}:{number}: byte 0x")


# --- Parsing whole groups and parsing line by line -------------------------------------------------------------------


_LAYOUTS = [
    _COMMENTED,
    Layout(),
    Layout(delimiter="tab"),
    Layout(delimiter="space"),
    Layout(delimiter="|"),
    Layout(columns={"token": 1, "tag": 0}),
    Layout(columns={"token": 0, "tag": 2}),
    Layout(columns={"token": 1, "tag": -2}, comments="#", n_columns=2, known_tags=frozenset("b")),
]
_FEW_CHARACTERS = st.lists(
    st.sampled_from(["a", "b", "#", "|", "\t", " ", "\n", "\n\n", "\r", "\ufeff", "ab\tO\n", "ab O\n", "-DOCSTART-"]),
    max_size=14,
).map("".join)


@settings(max_examples=600)
@given(_FEW_CHARACTERS, st.sampled_from(_LAYOUTS), st.booleans(), st.sampled_from([None, 1, 2]))
@example("a\tO\n \n", Layout(), False, None)
@example("a O\n\t\n", Layout(), True, None)
def test_parsing_whole_groups_and_parsing_line_by_line_agree(
    text: str, layout: Layout, gold: bool, max_lines: int | None
) -> None:
    data = text.encode()
    gold = gold and "tag" in layout.columns

    def result(patch: pytest.MonkeyPatch | None) -> object:
        if patch is not None:
            patch.setattr(conll._Reader, "parse_at_once", lambda self, groups: None)
        try:
            sentences = list(read_sentences(io.BytesIO(data), layout, gold=gold, max_lines=max_lines))
        except DataError as error:
            return error.message
        columns = [[["x"] * len(s.tokens), ["y"] * len(s.tokens)] for s in sentences]
        return [
            (s.tokens, s.tags, s.lines, list(s.token_rows), s.first_line, s.continues, write_sentence(s, c, layout))
            for s, c in zip(sentences, columns, strict=True)
        ]

    with pytest.MonkeyPatch.context() as patch:
        slowly = result(patch)
    assert result(None) == slowly


@pytest.mark.parametrize("delimiter", [" \t", "\t\t", "  "])
def test_a_delimiter_of_several_blanks_is_one_separator(delimiter: str) -> None:
    layout = Layout(delimiter=delimiter)
    data = f"a{delimiter}O\nb{delimiter}B-X\n".encode()
    (sentence,) = read(data, layout, gold=True)
    assert (sentence.tokens, sentence.tags) == (["a", "b"], ["O", "B-X"])
    assert tagged(data, layout=layout) == data.replace(b"\n", delimiter.encode() + b"X\n")


def test_an_ordinary_file_is_parsed_in_whole_groups() -> None:
    data = b"a\tO\nb\tO\n\nc\tO\n\t\n" + b"d O\ne O\n\n" + b"f\ng\n"
    assert [s.delimiter for s in read(data)] == ["\t", "\t", " ", "\t"]
    assert [s.delimiter for s in read(b"a\tO\nb O\n\nc\tO\r\n\nd  O\n\ne O\nf\n")] == [None] * 4


def test_a_sentence_that_is_cut_says_that_it_continues() -> None:
    data = b"a\nb\nc\nd\ne\n\nf\n"
    sentences = list(read_sentences(io.BytesIO(data), Layout(), max_lines=2))
    assert [(s.tokens, s.continues, s.first_line) for s in sentences] == [
        (["a", "b"], True, 1), (["c", "d"], True, 3), (["e"], False, 5), (["f"], False, 7),
    ]  # fmt: skip
    assert b"".join(line for s in sentences for line in s.lines) == data


def test_errors_can_be_reported_instead_of_raised_and_reading_continues() -> None:
    data = b"a O\nb\n\xff O\n\nc O O\nd O\n"
    errors: list[DataError] = []
    sentences = list(read_sentences(io.BytesIO(data), Layout(), path="f", gold=True, report=errors.append))
    assert [(s.tokens, s.tags) for s in sentences] == [(["a", "b", "\ufffd"], ["O", "", "O"]), (["c", "d"], ["", "O"])]
    assert [error.message.split(":")[1] for error in errors] == ["2", "3", "5"]
