"""Whatever the model directory refuses is refused before training: untrained models of all corpora are saved first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tagger.config.loading import load_config
from tagger.errors import DataError, TaggerError
from tagger.model_dir.store import Model, Weights, load_model, read_weights, save_model
from tagger.training.preparation import Prepared, prepare

_MOST_BYTES = 200_000  # of each corpus


def prepared(path: Path, *settings: str, warn: Callable[[str], None] = lambda text: None) -> Prepared:
    config = path.with_name("c.yaml")
    config.write_text(f"data: {{train: {path.name}, dev: null}}\nmodel: {{embedding_dim: 2, units: 2}}\n")
    return prepare(load_config(config, settings), note=lambda text: None, warn=warn)


def saved(found: Prepared, directory: Path) -> Model[Weights]:
    """Save a model without a network, and read it back."""
    shapes = found.manifest.network.weight_shapes(found.encoder.sizes(len(found.tags)))
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    model = Model(directory, found.manifest, found.encoder, found.tags, weights)
    save_model(model, graph=b"", config="", history="")
    return load_model(directory, read_weights)


def assert_refused_or_saved(path: Path, directory: Path, *settings: str) -> bool:
    try:
        found = prepared(path, *settings)
    except TaggerError:
        return False
    model = saved(found, directory)
    assert model.tags.tags == found.tags.tags
    assert model.encoder.tokens == found.encoder.tokens
    assert model.manifest == found.manifest
    return True


@pytest.mark.corpora
def test_every_corpus_and_case_is_refused_or_saved(corpora: Path, tmp_path: Path) -> None:
    savable = set()
    for file in sorted(corpora.rglob("*")):
        if not file.is_file() or file.suffix in (".md", ".yaml", ".txt.gz") or file.name in ("README", "LICENSE.txt"):
            continue
        with file.open("rb") as stream:
            content = stream.read(_MOST_BYTES)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        copy = folder / f"data{file.suffix}"
        copy.write_bytes(content if len(content) < _MOST_BYTES else content[: content.rfind(b"\n") + 1])
        settings = ["data.columns={token: 1, tag: 2}"] if "chinese" in file.parts else []
        if assert_refused_or_saved(copy, folder / "model", *settings):
            savable.add(str(file.relative_to(corpora)))
    assert savable >= {
        "cases/23-label-space/train.tsv",
        "cases/24-suffix-tags/train.tsv",
        "cases/26-bios/train.conll",
        "chinese/zh_gsd-ud-train.iob2",
        "conll2000/train.txt",
        "wikigold/wikigold.conll",
        "wnut17/train.conll",
    }
    assert "cases/32-leading-tab/train.txt" not in savable


def test_a_type_with_a_blank_is_saved(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("a\tB-Titre 2\nb\tI-Titre 2\nc\tO\n" * 3, "utf-8")
    assert saved(prepared(tmp_path / "t.tsv"), tmp_path / "m").tags.tags == ("O", "B-Titre 2", "E-Titre 2")


def test_empty_tokens_are_refused_with_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("x\tO\n\n" + "\tBruno\tB-PER\n\twent\tO\n" * 5, "utf-8")
    with pytest.raises(DataError) as error:
        prepared(tmp_path / "t.txt", "data.columns={token: 0, tag: -1}")
    assert error.value.message.startswith(f"{tmp_path}/t.txt:")


def test_a_few_empty_tokens_are_a_warning(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a\tB-PER\nb\tO\n\n" * 100 + "\tO\nb\tO\n", "utf-8")
    warnings: list[str] = []
    found = prepared(tmp_path / "t.txt", warn=warnings.append)
    assert f"{tmp_path}/t.txt:301: found 1 empty token, the first one here; tagger check lists them" in warnings
    assert "" in saved(found, tmp_path / "m").encoder.tokens.tokens
