"""`tagger check --fix`: the repairs of tags, and the proof that no other byte changes."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from checked_files import split_lines
from helpers import Result, run_tagger
from hypothesis import example, given, settings
from hypothesis import strategies as st
from seqscore.encoding import get_encoding
from seqscore.validation import validate_labels

from tagger.check.files import CheckSettings, check_file
from tagger.check.repair import fix_file, repaired
from tagger.errors import DataError


def fix(data: str | bytes, *flags: str) -> tuple[bytes, Result]:
    """Return the file that `tagger check --fix` writes for a file with this content, and the result of the command."""
    Path("f.conll").write_bytes(data.encode() if isinstance(data, str) else data)
    result = run_tagger("check", "--fix", "fixed.conll", "--force", "f.conll", *flags)
    assert "Traceback" not in result.errors
    return Path("fixed.conll").read_bytes(), result


_IOB2_TAGS = st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])


@st.composite
def ill_formed_files(draw: st.DrawFn) -> tuple[list[list[str]], str]:
    """Draw the tags of each sentence, and a file that holds them among many other kinds of bytes."""
    sentences = draw(st.lists(st.lists(_IOB2_TAGS, min_size=1, max_size=6), min_size=1, max_size=5))
    text = draw(st.sampled_from(["", "\ufeff"]))
    for tags in sentences:
        for tag in tags:
            delimiter = draw(st.sampled_from(["\t", " ", "   ", "\tNN\t", " NN "]))
            columns = delimiter if "NN" in delimiter else delimiter + "NN" + delimiter
            token = draw(st.sampled_from(["a", "日本", "I-Z", "O", "\u3000", "x#y"]))
            text += token + columns + tag + draw(st.sampled_from(["", "", delimiter[0], delimiter[0] * 2]))
            text += draw(st.sampled_from(["\n", "\n", "\r\n"]))
        text += draw(st.sampled_from(["\n", "\n\n", " \n", "\r\n", "\t\n", "\n-DOCSTART- NN O\n\n"]))
    return sentences, text


@settings(max_examples=150)
@given(ill_formed_files())
@example(([["I-X", "I-Y", "O", "I-X"]], "a NN I-X\nb NN I-Y\nc NN O\n\ufeffd NN I-X"))
def test_repairs_agree_with_seqscore_and_no_other_byte_changes(
    tmp_path_factory: pytest.TempPathFactory, file: tuple[list[list[str]], str]
) -> None:
    sentences, text = file
    path = tmp_path_factory.getbasetemp() / "ill-formed.conll"
    path.write_bytes(text.encode())
    encoding = get_encoding("BIO")
    expected = [list(encoding.repair_labels(tags, "conlleval")) for tags in sentences]
    assert all(validate_labels(tags, encoding).is_valid() for tags in expected)
    report = check_file(str(path), CheckSettings(scheme="IOB2", columns={"token": 0, "tag": 2}))
    assert [sentence.tags for sentence in report.sentences] == sentences
    lines, changes = repaired(report)

    flat, new = [tag for tags in sentences for tag in tags], [tag for tags in expected for tag in tags]
    wanted, i = [], 0
    for body, end in split_lines(text.encode()):
        is_token = body.strip() and not body.startswith(b"-DOCSTART-")
        if is_token:  # the tag is the last word on its line
            at = body.rindex(flat[i].encode())
            body = body[:at] + new[i].encode() + body[at + len(flat[i]) :]
            i += 1
        wanted.append(body + end)
    assert lines == wanted
    assert len(changes) == sum(a != b for a, b in zip(flat, new, strict=True))


def test_repairs_are_listed_with_line_token_and_tags(folder: Path) -> None:
    fixed, result = fix("a\tI-X\nb\tI-X\n\nc\tO\nd\tI-Y\ne\tB-Y\n" + "\nf\tB-X\n" * 3, "--json")
    assert fixed == b"a\tB-X\nb\tI-X\n\nc\tO\nd\tB-Y\ne\tB-Y\n" + b"\nf\tB-X\n" * 3
    found = json.loads(result.output)
    assert found["files"][0]["format"]["scheme"] == "IOB2"
    assert found["repairs"] == [
        {"line": 1, "message": "'a': I-X → B-X"},
        {"line": 5, "message": "'d': I-Y → B-Y"},
    ]


def test_a_file_without_ill_formed_tags_is_copied_unchanged(folder: Path) -> None:
    data = b"\xef\xbb\xbf# x\r\na\tB-X\r\nb\tI-X\n\n\rc O"
    assert fix(data)[0] == data


def test_a_name_that_ends_in_gz_is_read_and_written_as_gzip(folder: Path) -> None:
    data, fixed = b"a\tB-X\nb\tO\nc\tI-X\nd\tB-X\n", b"a\tB-X\nb\tO\nc\tB-X\nd\tB-X\n"
    Path("f.conll.gz").write_bytes(gzip.compress(data))
    assert run_tagger("check", "f.conll.gz", "--fix", "out.conll").exit_code == 0
    assert Path("out.conll").read_bytes() == fixed
    assert run_tagger("check", "f.conll.gz", "--fix", "out.gz").exit_code == 0
    assert gzip.decompress(Path("out.gz").read_bytes()) == fixed
    first = Path("out.gz").read_bytes()
    assert run_tagger("check", "f.conll.gz", "--fix", "out.gz", "--force").exit_code == 0
    assert Path("out.gz").read_bytes() == first, "the same input must give the same bytes"


@pytest.mark.parametrize("target", ["f.conll", "./f.conll", "sub/../f.conll", "link.conll", "hard.conll"])
def test_the_input_is_never_overwritten(folder: Path, target: str) -> None:
    Path("f.conll").write_text("a\tI-X\nb\tB-X\n")
    Path("sub").mkdir()
    Path("link.conll").symlink_to("f.conll")
    Path("hard.conll").hardlink_to("f.conll")
    result = run_tagger("check", "f.conll", "--fix", target)
    assert result.exit_code == 1
    assert result.first_error == (
        f"error: --fix {target}: is the file itself, expected another name; the original is never replaced"
    )
    assert Path("f.conll").read_text() == "a\tI-X\nb\tB-X\n"


def test_an_existing_file_is_replaced_only_with_force(folder: Path) -> None:
    Path("f.conll").write_text("a\tI-X\nb\tB-X\n")
    Path("mine").write_text("mine")
    Path("link").symlink_to("mine")
    for target in ("mine", "link"):
        result = run_tagger("check", "f.conll", "--fix", target)
        assert result.exit_code == 1
        assert result.first_error == (
            f"error: --fix {target}: already exists, expected a new name; choose another, or replace the file with"
            " --force"
        )
        assert Path("mine").read_text() == "mine"
    assert run_tagger("check", "f.conll", "--fix", "link", "--force").exit_code == 0
    assert Path("mine").read_text() == "a\tB-X\nb\tB-X\n"
    assert Path("link").is_symlink()
    assert run_tagger("check", "f.conll", "--force").exit_code == 2


@pytest.mark.parametrize("change", ["content", "content and time", "more", "replaced", "gone"])
def test_a_file_that_changes_between_the_check_and_its_repair_is_noticed(folder: Path, change: str) -> None:
    path = Path("f.conll")
    path.write_bytes(b"a\tI-X\nb\tO\n")
    report = check_file("f.conll", CheckSettings())
    before = path.stat()
    if change == "gone":
        path.unlink()
    elif change == "more":
        path.write_bytes(b"a\tI-X\nb\tO\n\nc\tI-X\n")
    elif change == "replaced":
        Path("other").write_bytes(b"a\tI-X\nb\tO\n")
        os.utime("other", ns=(before.st_atime_ns, before.st_mtime_ns))
        Path("other").rename(path)
    else:
        path.write_bytes(b"a\tI-X\nc\tO\n")
        if change == "content and time":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    message = "no such file" if change == "gone" else "has changed since it was checked, expected the same file; run"
    with pytest.raises(DataError, match=f"^f.conll: {message}"):
        fix_file(report, "out")
    assert not Path("out").exists()


@pytest.mark.parametrize("target", ["absent/out.conll", "folder", ".", "", "f.conll/out"])
def test_a_copy_that_cannot_be_written_is_an_error(folder: Path, target: str) -> None:
    Path("f.conll").write_text("a\tI-X\nb\tB-X\n")
    Path("folder").mkdir()
    result = run_tagger("check", "f.conll", "--fix", target)
    assert result.exit_code == 1
    assert result.first_error.startswith(f"error: --fix {target}: ")


def test_a_pipe_or_a_device_is_not_replaced_by_the_copy(folder: Path) -> None:
    Path("f.conll").write_text("a\tI-X\nb\tB-X\n")
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)  # a writer does not block while a reader is open
    try:
        run_tagger("check", "f.conll", "--fix", "pipe")
    finally:
        os.close(reader)
    assert Path("pipe").is_fifo()


def test_other_spellings_of_outside_become_O_even_if_they_are_more_common(folder: Path) -> None:
    for data in ("a\tB-X\nb\t0\nc\t0\nd\tO\n", "a\tB-X\nb\t0\nc\tO\nd\tO\n", "a\tB-X\nb\to\nc\tO\nd\tO\n"):
        assert fix(data)[0] == b"a\tB-X\nb\tO\nc\tO\nd\tO\n"


def test_a_byte_order_mark_before_a_repaired_tag_is_kept(folder: Path) -> None:
    assert fix("\ufeffI-X\ta\nB-X\tb\n", "--columns", "token=1,tag=0")[0] == "\ufeffB-X\ta\nB-X\tb\n".encode()


def test_a_damaged_byte_beside_a_repaired_tag_is_kept(folder: Path) -> None:
    good = "Zürich\tB-X\nwärmt\tO\n".encode() * 60
    assert fix(good + b"Z\xfcrich\tI-X\n")[0] == good + b"Z\xfcrich\tB-X\n"


def test_bytes_that_python_would_encode_differently_are_kept(folder: Path) -> None:
    # cp932 encodes some characters in two ways: 0x8790 and 0x81E0 both mean ≒, and Python writes 0x81E0.
    data = b"\x87\x90\tI-X\n\x87\x90\tB-X\n"
    assert fix(data, "--encoding", "cp932")[0] == b"\x87\x90\tB-X\n\x87\x90\tB-X\n"


@pytest.mark.parametrize("old, new", [(b"I-L\xfaC", b"B-L\xfaC"), (b"I-\xfaC\xee\xf2", b"B-\xfaC\xee\xf2")])
def test_the_bytes_of_a_repaired_tag_that_python_would_encode_differently_are_kept(
    folder: Path, old: bytes, new: bytes
) -> None:
    data = b"a\t%s\n" % old  # 0xFA43 and 0xEEF2 both mean the small roman numeral four
    assert fix(data, "--encoding", "cp932")[0] == b"a\t%s\n" % new


def test_only_the_value_of_the_key_is_repaired(folder: Path) -> None:
    row = "1\ta\t_\t_\t_\t_\t_\t_\t_\tentname=I-PER|name=%s\n\n"
    config = "data: {train: x, tag_key: name, columns: {token: 1, tag: 9}}\n"
    Path("c.yaml").write_text(config)
    Path("in").write_text((row % "I-PER") * 4 + (row % "B-PER") * 200)
    result = run_tagger("check", "in", "--config", "c.yaml", "--fix", "out")
    assert result.exit_code == 0, result.output
    assert Path("out").read_text() == (row % "B-PER") * 204


@pytest.mark.parametrize("encoding", ["utf-8", "euc_kr"])
def test_a_tag_with_a_damaged_byte_is_not_repaired(folder: Path, encoding: str) -> None:
    data = b"a\tB-X\nb\tO\n" * 60 + b"c\tI-\xffX\nd\tI-X\n"
    fixed, result = fix(data, "--json", "--encoding", encoding)
    assert fixed == data, "the next tag must not be repaired either, because the tag before it is not known"
    assert json.loads(result.output)["repairs"] == []


def test_a_delimiter_byte_inside_a_character_does_not_separate_columns(folder: Path) -> None:
    data = "−|I-X\n−|B-X\n".encode("shift_jis")  # − is 0x817C, and | is 0x7C
    assert fix(data, "--encoding", "shift_jis", "--delimiter", "|", "--columns", "token=0,tag=1")[0] == (
        "−|B-X\n−|B-X\n".encode("shift_jis")
    )


def test_a_tag_beside_an_error_is_neither_repaired_nor_reported_as_ill_formed(folder: Path) -> None:
    for wrong in ("York\tJ-LOC\n", "York x\tx\tI-LOC\n"):
        data = f"a\tO\nNew\tB-LOC\n{wrong}City\tI-LOC\n\nd\tO\ne\tI-LOC\n".encode()
        fixed, result = fix(data)
        assert fixed == data.replace(b"e\tI-LOC", b"e\tB-LOC")
        assert result.output.count(b"ill-formed") == 0
        assert result.output.count(b"I-LOC after") == 1


def test_untyped_spans_are_repaired_without_types(folder: Path) -> None:
    assert fix(b"a B\nb I\nc O\n\nd I\n")[0] == b"a B\nb I\nc O\n\nd B\n"


def test_a_byte_order_mark_before_blanks_is_not_a_column(folder: Path) -> None:
    assert fix(b"\xef\xbb\xbf  a  I-X\nb B-X\nc B-X\n")[0] == b"\xef\xbb\xbf  a  B-X\nb B-X\nc B-X\n"


def test_a_file_with_the_prefixes_of_two_schemes_is_not_repaired(folder: Path) -> None:
    Path("f").write_bytes(b"a B-PER\nb E-PER\nc L-PER\n")
    result = run_tagger("check", "f", "--fix", "out")
    assert result.first_error.startswith(
        "error: f: scheme: found the prefixes of both IOBES (E, S, M) and BILOU (L, U)"
    )
