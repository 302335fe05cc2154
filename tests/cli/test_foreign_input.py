"""Packed, damaged and binary input: every command names it in one error, and quickly."""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import run_tagger
from stub_model import stub_model, stub_models, stub_predictor

from tagger.corpus.detection import Requested, detect_layout
from tagger.errors import DataError

TEXT = "".join(f"EU{i}\tB-ORG\nsays\tO\n\n" for i in range(4000))
PACKED = gzip.compress(TEXT.encode(), mtime=0)
INPUTS: dict[str, tuple[str, bytes, str]] = {
    "gzip without .gz": ("f", PACKED, "is gzip, expected a corpus as text; unpack it with gunzip, or rename it"),
    "truncated": ("f.gz", PACKED[:-9], "is truncated gzip: its end is missing; get the file again"),
    "empty": ("f.gz", b"", "is empty (0 bytes), expected gzip, as its name ends in .gz; get the file again"),
    "not gzip": ("f.gz", TEXT.encode(), "is not gzip, expected it, as its name ends in .gz; remove .gz from the name"),
    "checksum": ("f.gz", PACKED[:-5] + b"x" + PACKED[-4:], "is damaged gzip: its checksum does not match its content;"),
    "trailing": ("f.gz", PACKED + b"x", "holds other bytes after its gzip data, expected nothing there; get the file"),
    "UTF-16": ("f", TEXT.encode("utf-16-be"), "is UTF-16, expected a corpus as text; convert it with iconv -f UTF-16BE"),
    "random": ("f", random.Random(3).randbytes(3_000_000), "is binary data, expected a corpus as text; a corpus is"),
}  # fmt: skip
COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "check": lambda name: ["check", name],
    "check --fix": lambda name: ["check", name, "--fix", "out"],
    "eval": lambda name: ["eval", name],
    "predict": lambda name: ["predict", name],
    "compare": lambda name: ["compare", "a", "b", name],
}


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", INPUTS)
def test_every_command_names_foreign_input_in_one_error_within_a_second(kind: str) -> None:
    name, data, message = INPUTS[kind]
    Path(name).write_bytes(data)
    for make in COMMANDS.values():
        start = time.process_time()
        with stub_models(lambda _: stub_predictor()):
            result = run_tagger(*make(name))
        assert time.process_time() - start < 1 or name.endswith(".gz")  # damage may be at the end
        assert result.exit_code == 1
        assert result.errors.splitlines()[-1].startswith(f"error: {name}: {message}")
        assert result.errors.count("error") == 1
    with pytest.raises(DataError) as caught:
        detect_layout(name, Requested())  # what `train` reads first
    assert caught.value.message.startswith(f"{name}: {message}")


def test_predict_names_foreign_standard_input() -> None:
    for kind in ("gzip without .gz", "UTF-16", "random"):
        _, data, message = INPUTS[kind]
        with stub_model():
            result = run_tagger("predict", stdin=data)
        assert result.exit_code == 1
        assert result.output == b""
        assert result.first_error.startswith(f"error: <standard input>: {message.partition(', or rename')[0]}")


def test_the_sentences_before_the_damage_are_tagged() -> None:
    Path("f.gz").write_bytes(PACKED[:-4])
    with stub_model():
        result = run_tagger("predict", "f.gz")
    assert result.exit_code == 1
    assert result.output.count(b"\n") == TEXT.count("\n")
    assert result.first_error == "error: f.gz: is truncated gzip: its end is missing; get the file again"


@pytest.mark.corpora
def test_the_hostile_cases_are_one_clear_error_each(corpora: Path) -> None:
    folder = corpora / "cases" / "hostile"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    expected = {
        "crc": "its checksum does not match", "empty": "is empty (0 bytes)", "not": "is not gzip",
        "trail": "holds other bytes after its gzip data", "trunc": "is truncated gzip",
    }  # fmt: skip
    assert {path.stem for path in folder.glob("*.gz")} == set(expected)
    for name, message in expected.items():
        result = run_tagger("check", folder / f"{name}.gz")
        assert result.exit_code == 1
        assert message in result.first_error
    for name in ("binary-40k", "train"):
        result = run_tagger("check", corpora / "cases" / "9-gz-no-suffix" / name)
        assert result.exit_code == 1
        assert "expected a corpus as text" in result.first_error
