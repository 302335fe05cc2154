"""Check the table of suspects and the corrected corpus: what a person decides is changed, and no other byte."""

from __future__ import annotations

import csv
import gzip
import io
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tag_pairs import random_pair

from tagger.config.keys import DataConfig
from tagger.corpus.schemes import convert, spans_from_tags
from tagger.errors import DataError
from tagger.runs.corrections import corrections_of, write_corrected
from tagger.runs.suspects import Suspect, places_of
from tagger.runs.suspects_table import COLUMNS, read_table, table_of
from tagger.training.corpora import Corpora, load_corpora

SCHEMES = ["IOB1", "IOB2", "IOE1", "IOE2", "IOBES", "BILOU"]


def load(path: Path, scheme: str = "auto") -> Corpora:
    data = DataConfig(train=str(path), dev=None, scheme=scheme, trust=True)  # type: ignore[arg-type]
    return load_corpora(data, 1, lambda text: None, lambda text: None)


def suspects_of(found: Corpora, predictions: list[list[str]]) -> list[Suspect]:
    return [
        Suspect(i, place, 0.5)
        for i, (gold, predicted) in enumerate(zip(found.train.tags, predictions, strict=True))
        for place in places_of(spans_from_tags(gold), spans_from_tags(predicted))
    ]


def write_table(path: Path, found: Corpora, suspects: list[Suspect], verdicts: Callable[[int], str]) -> Path:
    content = b"".join(table_of(suspects, found.train, found.notation)).decode()
    rows = list(csv.reader(io.StringIO(content), dialect="excel-tab"))
    for number, row in enumerate(rows[1:]):
        row[0] = verdicts(number)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, dialect="excel-tab").writerows(rows)  # with CR LF, as spreadsheets write
    return path


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from(SCHEMES))
def test_taking_every_prediction_gives_the_predicted_spans(tmp_path_factory, seed: int, scheme: str) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    gold, predicted = random_pair(random.Random(seed))
    gold = [convert(tags, "IOB2", scheme) for tags in gold if tags]
    predicted = [tags for tags in predicted if tags]
    if not any(spans_from_tags(tags) for tags in gold):
        return
    lines = ["-DOCSTART- O", ""]
    for i, tags in enumerate(gold):
        lines += [f"# {i}", *(f"w{j}\tx\t{tag}" for j, tag in enumerate(tags)), "", *[""] * (i % 2)]
    train = folder / "train"
    train.write_bytes("\r\n".join(lines).encode())
    found = load(train, scheme)
    table = write_table(folder / "t.tsv", found, suspects_of(found, predicted), lambda _: "predicted")
    corrections = corrections_of(table, found)
    (copy,) = write_corrected(corrections, [str(train)], found.layout, folder / "new")
    again = load(copy, scheme) if any(spans_from_tags(tags) for tags in predicted) else None
    if again is not None:
        assert list(map(spans_from_tags, again.train.tags)) == list(map(spans_from_tags, predicted))
    before, after = train.read_bytes().split(b"\r\n"), copy.read_bytes().split(b"\r\n")
    changed = {i + 1 for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new}
    assert changed == {change.line for changes in corrections.changes.values() for change in changes}
    assert all(before[i - 1].rsplit(b"\t", 1)[0] == after[i - 1].rsplit(b"\t", 1)[0] for i in changed)


TEXT = "-DOCSTART- O\n\nEU B-ORG\nis O\n\n=1+1 B-PER\n\u3000 O\nRome O\n"


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpora:
    monkeypatch.chdir(tmp_path)
    Path("train").write_text(TEXT, "utf-8")
    return load(Path("train"))


PREDICTED = [["B-LOC", "O"], ["O", "O", "B-LOC"]]


def corrected(corpus: Corpora, *verdicts: str) -> str:
    suspects = suspects_of(corpus, PREDICTED)
    table = write_table(Path("t.tsv"), corpus, suspects, lambda i: verdicts[i])
    (copy,) = write_corrected(corrections_of(table, corpus), ["train"], corpus.layout, Path("new"))
    return copy.read_text("utf-8")


def test_the_table_shows_each_suspect(corpus: Corpora) -> None:
    content = b"".join(table_of(suspects_of(corpus, PREDICTED), corpus.train, corpus.notation)).decode()
    rows = list(csv.DictReader(io.StringIO(content), dialect="excel-tab"))
    assert [tuple(row[name] for name in COLUMNS) for row in rows] == [
        ("", "1", "0.5000", "type", "train", "3", "EU", "B-ORG", "B-LOC", "[ EU ] is"),
        ("", "2", "0.5000", "made up", "train", "6", "'=1+1", "B-PER", "O", "[ =1+1 ] \u3000 Rome"),
        ("", "3", "0.5000", "missed", "train", "8", "Rome", "O", "B-LOC", "'=1+1 \u3000 [ Rome ]"),
    ]


@pytest.mark.parametrize(
    ("verdicts", "changes"),
    [
        (("", "gold", " "), {}),
        (("predicted", "", ""), {"EU B-ORG": "EU B-LOC"}),
        (("B-PER", "", " predicted "), {"EU B-ORG": "EU B-PER", "Rome O": "Rome B-LOC"}),
        (("gold", "O", "O"), {"=1+1 B-PER": "=1+1 O"}),
    ],
)
def test_verdicts_change_what_they_say(corpus: Corpora, verdicts: tuple[str, ...], changes: dict[str, str]) -> None:
    expected = TEXT
    for old, new in changes.items():
        expected = expected.replace(old, new)
    assert corrected(corpus, *verdicts) == expected


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        ("yes", "t.tsv:2: verdict: found the tag yes in 'yes', expected gold, predicted, or 1 tag in IOB2"),
        ("B-PER O", "t.tsv:2: verdict: found 2 tags in 'B-PER O', expected gold, predicted, or 1 tag"),
    ],
)
def test_an_unknown_verdict_is_named(corpus: Corpora, verdict: str, text: str) -> None:
    with pytest.raises(DataError) as caught:
        corrected(corpus, verdict, "", "")
    assert caught.value.message.startswith(text)
    assert not Path("new").exists()


def test_a_corpus_that_has_changed_is_refused(corpus: Corpora) -> None:
    table = write_table(Path("t.tsv"), corpus, suspects_of(corpus, PREDICTED), lambda _: "predicted")
    Path("train").write_text(TEXT.replace("EU B-ORG", "EU B-MISC"), "utf-8")
    with pytest.raises(DataError, match=r"^t.tsv:2: found the gold tags B-ORG for line 3 of train, which has B-MISC"):
        corrections_of(table, load(Path("train")))
    Path("train").write_text("EU B-ORG\n", "utf-8")
    with pytest.raises(DataError, match=r"^t.tsv:2: found line 3 of train, where the training data have no token"):
        corrections_of(table, load(Path("train")))


def test_rows_that_differ_about_a_token_are_refused(corpus: Corpora) -> None:
    suspects = suspects_of(corpus, PREDICTED)
    table = write_table(Path("t.tsv"), corpus, [suspects[0], suspects[0]], lambda i: ["predicted", "B-PER"][i])
    with pytest.raises(
        DataError, match=r"^t.tsv:3: verdict: found PER in line 3 of train, where row 2 has a token of it"
    ):
        corrections_of(table, corpus)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "t.tsv: found no column verdict, rank"),
        (b"a\tb\n", "t.tsv: found no column verdict, rank"),
        ("\t".join(COLUMNS).replace("line", "place").encode(), "t.tsv: found no column line in the first row"),
        (("\t".join(COLUMNS) + "\npredicted\t1\n").encode(), "t.tsv:2: found 2 cells"),
        (("\t".join(COLUMNS) + "\n" + "\t".join("x" * len(COLUMNS)) + "\n").encode(), "t.tsv:2: found 10 cells"),
        (b"\xff\xff", "t.tsv: found a byte that is not UTF-8 at 0"),
        (b"\xff\xfe" + "verdict\r\n".encode("utf-16-le"), "t.tsv: found a table in UTF-16, expected UTF-8; save it as"),
        # A cell that begins with a quotation mark, saved without quoting it, hides the rows up to the next one.
        (
            (
                "\t".join(COLUMNS) + "\n" + "\t".join("123456789") + '\t" he\n' + "\t".join("123456789") + '\t" she\n'
            ).encode(),
            "t.tsv:2: found a line break in sentence, expected one line for each row: a quotation mark at the start of a cell",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, monkeypatch, content: bytes, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.tsv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(Path("t.tsv"))
    assert caught.value.message.startswith(text)


def test_rows_and_columns_may_be_moved(corpus: Corpora) -> None:
    table = write_table(Path("t.tsv"), corpus, suspects_of(corpus, PREDICTED), lambda _: "predicted")
    rows = list(csv.reader(io.StringIO(table.read_text("utf-8")), dialect="excel-tab"))
    moved = [list(reversed(row)) for row in (rows[0], rows[3], ["", ""], rows[1])]
    with Path("t.tsv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, dialect="excel-tab").writerows(moved)
    found = corrections_of(table, corpus)
    assert [(change.line, change.new) for change in found.changes["train"]] == [(3, "B-LOC"), (8, "B-LOC")]
    assert found.describe() == "2 of 2 suspects corrected, 2 tags changed"


def test_several_files_are_written_into_a_folder_and_nothing_is_replaced(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.conll").write_text("EU B-ORG\n")
    Path("b.conll.gz").write_bytes(gzip.compress(b"Rome B-PER\n\n"))
    data = DataConfig(train=["a.conll", "b.conll.gz"], dev=None, trust=True)
    found = load_corpora(data, 1, lambda text: None, lambda text: None)
    suspects = suspects_of(found, [["B-LOC"], ["B-LOC"]])
    table = write_table(Path("t.tsv"), found, suspects, lambda _: "predicted")
    corrections = corrections_of(table, found)
    write_corrected(corrections, ["a.conll", "b.conll.gz"], found.layout, Path("new"))
    assert Path("new/a.conll").read_text() == "EU B-LOC\n"
    assert gzip.decompress(Path("new/b.conll.gz").read_bytes()) == b"Rome B-LOC\n\n"
    with pytest.raises(DataError, match=r"^-o new/a.conll: already exists, expected a new name"):
        write_corrected(corrections, ["a.conll", "b.conll.gz"], found.layout, Path("new"))


def test_long_sentences_come_back(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train").write_text("\n".join(["EU B-ORG", *["is O"] * 50_000, ""]))
    found = load(Path("train"))
    suspects = suspects_of(found, [["B-LOC", *["O"] * 50_000]])
    content = b"".join(table_of(suspects, found.train, found.notation))
    Path("t.tsv").write_bytes(content.replace(b"\n\t1\t", b"\npredicted\t1\t"))
    assert corrections_of(Path("t.tsv"), found).describe() == "1 of 1 suspect corrected, 1 tag changed"


@pytest.mark.parametrize("name", [b"a\nb", "ä \u202e".encode(), b"\xff\xfe", b"=1", b"'=1", b" x"])
def test_any_name_of_a_file_comes_back(tmp_path: Path, monkeypatch, name: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(name))
    path.write_text("EU B-ORG\nis O\n")
    found = load(path)
    table = write_table(Path("t.tsv"), found, suspects_of(found, [["B-LOC", "O"]]), lambda _: "predicted")
    corrections = corrections_of(table, found)
    write_corrected(corrections, [str(path)], found.layout, Path("new"))
    assert Path("new").read_text() == "EU B-LOC\nis O\n"


def test_a_table_may_be_applied_in_another_folder(tmp_path: Path, monkeypatch) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "train").write_text(f"{folder}EU B-ORG\nis O\n")
    (tmp_path / "a" / "other").write_text("Rome B-PER\n")
    monkeypatch.chdir(tmp_path / "b")
    files = [str(tmp_path / "a" / "train"), str(tmp_path / "b" / "train"), str(tmp_path / "a" / "other")]

    def loaded(*names: str) -> Corpora:
        data = DataConfig(train=list(names), dev=None, trust=True)
        return load_corpora(data, 1, lambda text: None, lambda text: None)

    found = loaded(files[0], files[2])
    table = write_table(Path("t.tsv"), found, suspects_of(found, [["B-LOC", "O"], ["B-LOC"]]), lambda _: "predicted")
    monkeypatch.chdir(tmp_path)
    changes = corrections_of(tmp_path / "b" / table, loaded(files[0], files[2])).changes
    assert {file: [one.new for one in of_it] for file, of_it in changes.items()} == {
        "a/train": ["B-LOC"], "a/other": ["B-LOC"],
    }  # fmt: skip
    with pytest.raises(DataError, match=r"^b/t.tsv:2: found ../a/train, which may be a/train or b/train, expected one"):
        corrections_of(Path("b/t.tsv"), loaded(*files))


def test_tokens_without_annotation_stay_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    # The ill-formed I-LOC would be read otherwise after a B-LOC, so that the whole sentence is written anew.
    Path("train").write_text("Ann B-PER\nof I-LOC\nEU ?\nin ?\nRome B-LOC\n")
    data = DataConfig(train="train", dev=None, scheme="IOB2", trust=True, unknown_tag="?")
    found = load_corpora(data, 1, lambda text: None, lambda text: None)
    predicted = ["B-LOC", "B-LOC", "O", "O", "B-LOC"]
    table = write_table(Path("t.tsv"), found, suspects_of(found, [predicted]), lambda _: "predicted")
    write_corrected(corrections_of(table, found), ["train"], found.layout, Path("new"))
    assert Path("new").read_text() == "Ann B-LOC\nof B-LOC\nEU ?\nin ?\nRome B-LOC\n"


@pytest.mark.parametrize(
    ("gold", "verdict", "expected"),
    [
        ("?", "O", ["B-PER", "O", "?", "B-LOC"]),
        ("? ?", "O B-ORG", ["B-PER", "O", "B-ORG", "B-LOC"]),
        ("? ?", "? O", ["B-PER", "?", "O", "B-LOC"]),
        ("B-PER", "?", ["?", "?", "?", "B-LOC"]),
        ("B-PER ?", "O predicted", None),
        ("B-PER ?", "predicted", ["O", "?", "?", "B-LOC"]),
    ],
)
def test_a_verdict_of_tags_decides_about_tokens_without_annotation(
    tmp_path: Path, monkeypatch, gold: str, verdict: str, expected: list[str] | None
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["Ann", "of", "in", "Rome"]
    Path("train").write_text("Ann B-PER\nof ?\nin ?\nRome B-LOC\n")
    data = DataConfig(train="train", dev=None, scheme="IOB2", trust=True, unknown_tag="?")
    found = load_corpora(data, 1, lambda text: None, lambda text: None)
    line, size = 1 if gold.startswith("B") else 2, len(gold.split())
    row = [verdict, "1", "0.5", "type", "train", str(line), "", gold, " ".join(["O"] * size), ""]
    Path("t.tsv").write_text("\n".join(["\t".join(COLUMNS), "\t".join(row), ""]))
    if expected is None:
        with pytest.raises(DataError, match="verdict: found the tag predicted"):
            corrections_of(Path("t.tsv"), found)
        return
    write_corrected(corrections_of(Path("t.tsv"), found), ["train"], found.layout, Path("new"))
    assert Path("new").read_text() == "".join(f"{word} {tag}\n" for word, tag in zip(words, expected, strict=True))


def test_rows_that_differ_about_a_token_without_annotation_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train").write_text("Ann B-PER\nof ?\nRome B-LOC\n")
    data = DataConfig(train="train", dev=None, scheme="IOB2", trust=True, unknown_tag="?")
    found = load_corpora(data, 1, lambda text: None, lambda text: None)
    rows = [[verdict, "1", "0.5", "type", "train", "2", "", "?", "O", ""] for verdict in ("O", "B-LOC")]
    for order in (rows, rows[::-1]):
        Path("t.tsv").write_text("\n".join(["\t".join(COLUMNS), *map("\t".join, order), ""]))
        with pytest.raises(DataError, match=r"^t.tsv:3: verdict: found .* in line 2 of train, where row 2 has a token"):
            corrections_of(Path("t.tsv"), found)
    Path("t.tsv").write_text("\n".join(["\t".join(COLUMNS), "\t".join(rows[0]), "\t".join(rows[0]), ""]))
    assert [one.new for one in corrections_of(Path("t.tsv"), found).changes["train"]] == ["O"]


def test_if_one_copy_cannot_be_written_none_is_left(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path(name).write_text("EU B-ORG\n")
    data = DataConfig(train=["a", "b"], dev=None, trust=True)
    found = load_corpora(data, 1, lambda text: None, lambda text: None)
    corrections = corrections_of(write_table(Path("t.tsv"), found, [], str), found)
    written = list[Path]()

    def write(path: Path, content: bytes) -> None:
        if written:
            raise OSError(28, "No space left on device")
        path.write_bytes(content)
        written.append(path)

    monkeypatch.setattr("tagger.runs.corrections.write_atomically", write)
    with pytest.raises(DataError, match=r"^-o new/b: cannot be written: No space left on device; choose another place"):
        write_corrected(corrections, ["a", "b"], found.layout, Path("new"))
    assert not Path("new").exists()
