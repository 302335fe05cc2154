"""Files of clusters, in both forms, and those of the package spacy-lookups-data."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from pathlib import Path

import pytest

from tagger.errors import ConfigError, DataError
from tagger.inputs.clusters import Clusters
from tagger.lexicons.paths import LANGUAGES, read_packaged_paths, read_paths


@pytest.mark.parametrize(
    "content",
    [
        b"London\t0110\ndog\t10\n",
        b"0110\tLondon\t57\n10\tdog\t1\n",  # wcluster
        b"\xef\xbb\xbfLondon\t0110\r\n\r\ndog\t10",
        b"London\t0110\nLondon\t0110\ndog\t10\n",
    ],
)
def test_both_forms_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    assert read_paths(str(tmp_path / "c")) == {"London": "0110", "dog": "10"}


def test_words_of_digits_and_with_blanks_are_words(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("101\t0\n#\t10\na b\t110\n\u3000\t111\n")
    assert read_paths(str(tmp_path / "c")) == {"101": "0", "#": "10", "a b": "110", "\u3000": "111"}
    (tmp_path / "c").write_text("0\t101\t5\n")
    assert read_paths(str(tmp_path / "c")) == {"101": "0"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("London 0110\n", ":1: found 'London 0110', expected a word, a TAB and its bits, or"),
        ("London\t0110\ndog\t012\n", ":2: found 'dog\\t012', expected"),
        ("London\t0110\n10\tdog\t1\n", ":2: found '10\\tdog\\t1', expected"),
        ("10\tdog\tmany\n", ":1: found '10\\tdog\\tmany', expected"),
        ("\t01\n", ":1: found '\\t01', expected"),
        ("a\t" + "0" * 65 + "\n", "with at most 64 bits, on all lines"),
        ("dog\t01\ndog\t10\n", ":2: found 'dog' with the bits 10, expected 01 as in an earlier line"),
        ("\n\n", ": found no words, expected lines of a word"),
    ],
)  # fmt: skip
def test_other_lines_are_refused_by_number(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c").write_text(content)
    with pytest.raises(DataError) as error:
        read_paths(str(tmp_path / "c"))
    assert error.value.message.startswith(str(tmp_path / "c"))
    assert message in error.value.message


def package(folder: Path, numbers: object) -> None:
    data = folder / "spacy_lookups_data/data"
    data.mkdir(parents=True)
    (folder / "spacy_lookups_data/__init__.py").touch()
    (data / "en_lexeme_cluster.json.gz").write_bytes(gzip.compress(json.dumps(numbers).encode()))


def test_the_numbers_of_the_package_are_paths_with_the_first_bit_lowest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, {"London": 0b0110, "dog": 0b10110, "none": 0, "the": 1, "a\tb": 5, " ": 3})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "spacy_lookups_data", raising=False)
    assert read_packaged_paths("en") == {"London": "01100", "dog": "01101", "the": "10000", " ": "11000"}


@pytest.mark.parametrize("numbers", [[], {}, {"a": "x"}, {"a": -3}])
def test_a_damaged_package_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: object) -> None:
    package(tmp_path, numbers)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "spacy_lookups_data", raising=False)
    with pytest.raises(DataError, match=r"features\.cluster_language: .* cannot be read: .*--force-reinstall"):
        read_packaged_paths("en")


def test_a_missing_package_is_an_error_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"not installed; run pip install '\.\[clusters\]' in a clone"):
        read_packaged_paths("en")


@pytest.mark.skipif(
    importlib.util.find_spec("spacy_lookups_data") is None, reason="spacy-lookups-data is not installed"
)
def test_the_installed_package_has_related_words_in_one_cluster() -> None:
    paths = read_packaged_paths("en")
    assert paths["London"] == paths["Paris"] != paths["dog"]
    assert paths["John"][:6] == paths["Bob"][:6]
    Clusters(paths, (4, 6, 10, 20))
    assert set(LANGUAGES) == {"de", "en", "es"}
