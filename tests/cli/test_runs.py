"""`tagger crossval`, `suspects` and `curve`: what is wrong is said before anything is trained or written."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import run_tagger

SPANS = "".join(f"Ann{i % 7} B-PER\nleft O\nRome{i % 5} B-LOC\n. O\n\n" for i in range(40))
PLAIN = "".join(f"Ann{i % 7} NOUN\nleft VERB\nRome{i % 5} NOUN\n. PUNCT\n\n" for i in range(40))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train").write_text(SPANS)
    Path("plain").write_text(PLAIN)
    Path("mine.svg").write_text("<svg/>")
    Path("c.yaml").write_text("data: {train: train, dev: 0.2}\n")
    Path("plain.yaml").write_text("data: {train: plain, dev: 0.2}\n")


CASES: list[tuple[list[str], int, str]] = [
    (["crossval", "c.yaml", "--runs", ""], 1, "--runs: found an empty name, expected a directory; name one"),
    (["suspects", "plain.yaml", "-o", "t.tsv", "--runs", "r"], 1, "found plain tags, expected tags of spans, which"),
    (["suspects", "c.yaml", "-o", "t.tsv", "--html", "./t.tsv"], 2, "--html: found the same name as -o, ./t.tsv, expected"),
    (["suspects", "c.yaml", "-o", "new", "--html", "p.html", "--apply", "t.tsv"], 2, "--html: found --apply too, expected"),
    (["suspects", "c.yaml", "-o", "train"], 1, "train: is there and is not a table of suspects, expected a new name"),
    (["curve", "c.yaml", "--shares", "40,41,100"], 1, "of which 40 % and 41 % are the same 13, expected different numbers; "),
    (["curve", "c.yaml", "--shares", "10,50,100"], 1, "of which 10 % are 3, expected at least 10; raise the lowest of"),
    (["curve", "c.yaml", "--set", "training.seed=2147483646"], 1, "--repeats: found 3 seeds from training.seed 2147483646"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "text"), CASES)
def test_errors_before_the_training(arguments: list[str], code: int, text: str) -> None:
    found = run_tagger(*arguments)
    assert (found.exit_code, found.output) == (code, b"")
    assert text in found.first_error
    assert not any(path.name.startswith(("share-", "fold-")) for path in Path().rglob("*"))


def test_a_chart_does_not_replace_other_files() -> None:
    pytest.importorskip("altair", reason="the extra report is not installed")
    assert (
        "mine.svg: is there and is not a chart of tagger curve"
        in run_tagger("curve", "c.yaml", "-o", "mine.svg").first_error
    )
    assert (
        "no/x.svg: found no folder for it, expected one" in run_tagger("curve", "c.yaml", "-o", "no/x.svg").first_error
    )
    assert Path("mine.svg").read_text() == "<svg/>"


def test_apply_does_not_promise_to_load_tensorflow() -> None:
    found = run_tagger("suspects", "c.yaml", "--apply", "none.tsv", "-o", "new")
    assert found.exit_code == 1
    assert "none.tsv: cannot be read" in found.errors
    assert "TensorFlow" not in found.errors


@pytest.mark.parametrize("command", [["crossval"], ["suspects", "-o", "t.tsv"], ["curve"]])
def test_logs_that_are_not_written_are_said(command: list[str]) -> None:
    # The empty name of the directory ends the command before the training.
    found = run_tagger(*command, "c.yaml", "--set", "training.log=[tensorboard]", "--runs", "")
    assert "warning: training.log: found tensorboard, which only tagger train writes" in found.errors
