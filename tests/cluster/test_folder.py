"""What a folder's inputs are, and what the record of its outputs says; no Ray is needed."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import resource
import signal
from pathlib import Path
from typing import ClassVar

import pytest
from helpers import run_tagger
from stored_model import save

from tagger.cli.predict_folder import _Progress
from tagger.cluster.folder import check_place, check_places, inputs_of, remove_half_written
from tagger.cluster.model_copy import ModelCopy
from tagger.cluster.record import RECORD, Entry, open_record
from tagger.cluster.tagging import FileOutput, FileTagger, FolderSettings, Unit, Watcher, tag_folder
from tagger.errors import DataError

WITH = {"--format": "jsonl", "model": "abc"}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("x\n")


def test_inputs_are_the_files_below_a_folder_with_their_sizes_and_times(tmp_path: Path) -> None:
    touch(tmp_path, "b.conll", "a/c d.tsv", "a/é", ".git/x", ".hidden", "brat/1.txt", "brat/1.ann", "brat/2.txt")
    touch(tmp_path, "brat/annotation.conf")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "alias").symlink_to(tmp_path / "b.conll")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "missing").symlink_to(tmp_path / "nothing")
    found = inputs_of(tmp_path)
    assert list(found.stamps) == ["a/c d.tsv", "a/é", "alias", "b.conll", "brat/1.ann", "brat/2.txt"]
    assert found.stamps["b.conll"] == [[2, (tmp_path / "b.conll").stat().st_mtime_ns]]
    assert [size for size, _ in found.stamps["brat/1.ann"]] == [2, 2]
    assert found.left_out == [
        "2 names with a dot in front",
        "link, loop and missing …: links to folders or to nothing, pipes and the like",
    ]


def test_a_folder_without_files_and_places_in_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match=r"/in: holds no files, expected some to tag"):
        inputs_of(tmp_path / "in")
    touch(tmp_path, "in/a")
    (tmp_path / "same").symlink_to(tmp_path / "in")
    for target in ("in", "in/out", "same", "."):
        with pytest.raises(DataError, match="expected a place beside it"):
            check_places(tmp_path / "in", tmp_path / target)
    check_places(tmp_path / "in", tmp_path / "in2")
    with pytest.raises(DataError, match="found a file, expected a folder"):
        check_places(tmp_path / "in/a", tmp_path / "out")
    with pytest.raises(DataError, match="found nothing, expected a folder"):
        check_places(tmp_path / "missing", tmp_path / "out")


def test_only_what_a_worker_was_writing_is_removed(tmp_path: Path) -> None:
    touch(tmp_path, ".a.conll.123.new", "sub/.b.45.new", ".two\nlines.6.new", "c.new", ".d.new", ".e.x.new")
    remove_half_written(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [".d.new", ".e.x.new", "c.new"]


def test_an_input_is_done_if_it_and_its_output_are_as_they_were(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_record(out, WITH) as record:
        touch(out, "a", "\udcff")
        record.add(Entry("a", [[5, 7]], "a", 2))
        record.add(Entry("\udcff", [[5, 7]], "\udcff", 2))
    with (out / RECORD).open("ab") as file:
        file.write(b'{"input": "cut')
    with open_record(out, WITH) as record:
        assert record.is_done("a", [[5, 7]])
        assert record.is_done("\udcff", [[5, 7]])
        assert not record.is_done("a", [[5, 8]])
        assert not record.is_done("cut", [[5, 7]])
        record.add(Entry("b", [[1, 1]], "b", 2))
    with open_record(out, WITH) as record:
        assert set(record.done) == {"a", "\udcff", "b"}
        assert not record.is_done("b", [[1, 1]]), "its output is not there"
        (out / "a").write_text("longer")
        assert not record.is_done("a", [[5, 7]])


def test_an_output_belongs_to_the_last_input_that_became_it(tmp_path: Path) -> None:
    with open_record(tmp_path, WITH) as record:
        touch(tmp_path, "a")
        record.add(Entry("a", [[5, 7]], "a", 2))
        record.add(Entry("a.gz", [[5, 7]], "a", 2))
        assert not record.is_done("a", [[5, 7]])
    with open_record(tmp_path, WITH) as record:
        assert not record.is_done("a", [[5, 7]])
        assert record.is_done("a.gz", [[5, 7]])
        record.add(Entry("a", [[5, 7]], "a", 2))
    with open_record(tmp_path, WITH) as record:
        assert record.is_done("a", [[5, 7]])
        assert not record.is_done("a.gz", [[5, 7]])


def test_a_machine_must_see_both_folders(tmp_path: Path) -> None:
    touch(tmp_path, "in/a", f"out/{RECORD}")
    model = ModelCopy(tmp_path / "model", "")
    for source, target, missing in (("no", "out", "no"), ("in", "none", "none")):
        tagger = FileTagger(model, lambda *_: None, tmp_path / source, tmp_path / target)
        with pytest.raises(
            DataError, match=rf"/{missing}: cannot be seen from .*, expected a folder that all machines"
        ):
            tagger()


def test_a_record_that_cannot_be_written_is_an_error_that_names_its_folder(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)  # which stands for a full disk
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    out, message = tmp_path / "out", r"/out: cannot be written: File too large; choose another folder"
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
        with pytest.raises(DataError, match=message), open_record(out, WITH):
            pass
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
        with pytest.raises(DataError, match=message), open_record(out, WITH) as record:
            for number in range(10):
                record.add(Entry(str(number), [[5, 7]], str(number), 2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    n = (out / RECORD).read_bytes().count(b"\n") - 1
    with open_record(out, WITH) as record:
        assert list(record.done) == [str(number) for number in range(n)]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    touch(out, "letter.txt")
    with (
        pytest.raises(DataError, match=r"holds letter.txt, which no tagger predict --ray has written"),
        open_record(out, WITH),
    ):
        pass
    new, other = tmp_path / "new", {**WITH, "model": "xyz"}
    with (
        open_record(new, WITH),
        pytest.raises(DataError, match="another command is writing there"),
        open_record(new, WITH),
    ):
        pass
    with open_record(new, other) as record:  # nothing was made with anything
        record.add(Entry("a", [[5, 7]], "a", 2))
    with (
        pytest.raises(DataError, match="made with another model, expected the same one") as caught,
        open_record(new, WITH),
    ):
        pass
    assert caught.value.detail == ("model: found xyz, expected abc",)
    with pytest.raises(DataError, match="made with another --format"), open_record(new, {"model": "xyz"}):
        pass
    header = json.dumps({"version of the record": 1, **WITH})
    (new / RECORD).write_text(f"{header.replace(': 1', ': 2')}\n{{}}\n")
    with pytest.raises(DataError, match="with another version of the record, expected"), open_record(new, WITH):
        pass
    (new / RECORD).write_bytes(b"\xff\xfe\n{}\n")
    with pytest.raises(DataError, match="found the damaged record"), open_record(new, WITH):
        pass
    for line in (
        '{"input": 1, "stamp": [[5, 7]], "output": "a", "size": 2}',
        '{"input": "a", "stamp": [[5, 7]], "output": 1, "size": 2}',
        '{"input": "a", "stamp": [[5, 7]], "output": "a", "size": "2"}',
        '{"input": "a", "stamp": [5, 7], "output": "a", "size": 2}',
    ):
        (new / RECORD).write_text(f"{header}\n{line}\n")
        with pytest.raises(DataError, match="found the damaged record"), open_record(new, WITH):
            pass
    for lines in ("[]\n1\n", "{\n}\n", f"{header}\n{{}}\n", f"{header}\n[1]\n", f'{header}\n{{"input": 1}}\n'):
        (new / RECORD).write_text(lines)
        with pytest.raises(DataError, match="found the damaged record"), open_record(new, WITH):
            pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "b"], "OUT_DIR: found b without --ray, expected one FILE"),
        (["a", "--workers", "2"], "--workers: found it without --ray"),
        (["a", "--ray", "local"], "--ray: found no two folders"),
        (["a", "b", "--ray", "local", "--threads", "2"], "--threads: found it with --ray, .*; use --workers"),
        (["a", "b", "--ray", "local", "--line-buffered"], "--line-buffered: found it with --ray"),
        (["a", "b", "--ray", "local", "--device", "gpu"], "--device gpu: found it with --ray"),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(arguments: list[str], message: str) -> None:
    result = run_tagger("predict", *arguments)
    assert result.exit_code == 2
    assert re.search(message, result.first_error)


def test_without_the_extra_one_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run_tagger("predict", "--ray", "local", "a", "b")
    assert result.exit_code == 1
    assert result.first_error == (
        "error: --ray: found no ray, expected it to be installed; run pip install '.[ray]' in a clone of tagger"
    )


def test_two_inputs_with_one_output_and_options_that_do_not_fit_are_errors(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")
    save(tmp_path / "model")
    touch(tmp_path / "in", "a.conll")
    (tmp_path / "in/a.conll.gz").write_bytes(gzip.compress(b"x\n"))
    result = run_tagger("predict", "--ray", "local", tmp_path / "in", tmp_path / "out", "--model", tmp_path / "model")
    assert result.exit_code == 1
    assert "a.conll and a.conll.gz would both become a.conll, expected a place for each" in result.first_error
    (tmp_path / "in/a.conll.gz").unlink()
    arguments = (tmp_path / "in", tmp_path / "out", "--model", tmp_path / "model", "--offsets", "bytes")
    result = run_tagger("predict", "--ray", "local", *arguments)
    assert result.exit_code == 1
    assert "in/a.conll: --offsets: found CoNLL, expected text or another format" in result.first_error


def test_an_input_that_changes_while_it_is_read_gets_no_output(tmp_path: Path) -> None:
    touch(tmp_path, "in/a", f"out/{RECORD}")
    unit = Unit("a", tmp_path / "in/a", tmp_path / "out/a", 1)

    def tag(predictor: object, path: str, out: FileOutput) -> None:
        out.write(b"half of it")
        with Path(path).open("a") as file:
            file.write("and more\n")

    tagger = FileTagger(ModelCopy(save(tmp_path / "model"), ""), tag, tmp_path / "in", tmp_path / "out")
    with pytest.raises(DataError, match=r"in/a: has changed while it was read, expected a file that stays as it is"):
        tagger._tag(None, unit)  # type: ignore[arg-type]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [RECORD]


def test_outputs_in_the_way_are_errors_of_their_inputs(tmp_path: Path) -> None:
    touch(tmp_path, "a", "b/c")
    for name, found in (("a/d", f"the file {tmp_path / 'a'}"), ("b", f"a folder at {tmp_path / 'b'}")):
        with pytest.raises(DataError, match=re.escape(f"found {found} in the way of its output, expected none")):
            check_place(tmp_path / name, tmp_path)
    for name in ("a", "b/c", "b/d/e", "new"):
        check_place(tmp_path / name, tmp_path)


def test_messages_name_a_file_once_whatever_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "two\nlines\udcff.conll"
    with _Progress(Path("in")) as progress:
        progress.begin(2, 0, 1)
        progress.failed(name, DataError("is odd", path=tmp_path / "in" / name))
        progress.done(name, [f"warning: {tmp_path / 'in' / name}: is odd"])
    assert capsys.readouterr().err == (
        "2 files; 1 worker\nerror: in/two\\x0alines\\xff.conll: is odd\nwarning: in/two\\x0alines\\xff.conll: is odd\n"
    )


def test_a_folder_that_is_done_needs_no_cluster_and_names_outputs_of_inputs_that_are_gone(tmp_path: Path) -> None:
    class Heard(Watcher):
        notes: ClassVar[list[str]] = []
        begun: ClassVar[list[tuple[int, int, int]]] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

        def begin(self, n: int, n_done: int, n_workers: int) -> None:
            self.begun.append((n, n_done, n_workers))

    save(tmp_path / "model")
    touch(tmp_path / "in", "a")
    stamps = inputs_of(tmp_path / "in").stamps
    settings = FolderSettings(
        address="nowhere", source=tmp_path / "in", target=tmp_path / "out", model=tmp_path / "model", made_with={},
        tag=lambda *_: None, name_of=lambda path: path.name,
    )  # fmt: skip
    checksum = hashlib.sha256((tmp_path / "model/manifest.json").read_bytes()).hexdigest()
    with open_record(tmp_path / "out", {"model": checksum}) as record:
        touch(tmp_path / "out", "a", "b", ".b.12.new")
        record.add(Entry("a", stamps["a"], "a", 2))
        record.add(Entry("b", [[1, 1]], "b", 2))
    assert tag_folder(settings, Heard()) == 0
    assert Heard.begun == [(1, 1, 0)]
    assert Heard.notes == [f"note: {tmp_path / 'out'}: 1 output of inputs that are gone, such as b; they stay"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [RECORD, "a", "b"]
