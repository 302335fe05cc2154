"""Tests of the model that a training replaces. Does not need TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import stored_model

from tagger.config.keys import Config
from tagger.config.loading import load_config
from tagger.errors import ModelError
from tagger.training.replacing import Place, Replacing, Standing, standing_in

REMEDY = "; name another directory with --model or output.model_dir, or pass --force to replace that model"


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Make two folders with a config and data each, and return a loader of their configs."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my.yaml").write_text("data: {train: train.conll, dev: dev.conll}\n")
        for name in ("train", "dev"):
            (tmp_path / folder / f"{name}.conll").write_text(f"{folder} B-X\n")
    monkeypatch.chdir(tmp_path)
    return lambda folder, *settings: load_config(f"{folder}/my.yaml", settings)


def train_in(config: Config, config_file: str | None) -> None:
    """Stand in for a training: write a model of this config where the config says."""
    directory = Path(str(config.output.model_dir))
    place = Place(directory, Replacing(config_file=None if config_file is None else Path(config_file)))
    place.begin(config)
    stored_model.save(directory)
    stored_model.rewrite_manifest(directory, origin=place.origin(config, None))


def begin(config: Config, config_file: str | None, *, force: bool = False) -> Place:
    directory = Path(str(config.output.model_dir))
    rules = Replacing(config_file=None if config_file is None else Path(config_file), force=force)
    place = Place(directory, rules)
    place.begin(config)
    return place


def test_two_configs_of_one_name_do_not_share_a_model(configs, tmp_path: Path) -> None:
    train_in(configs("a"), "a/my.yaml")
    with pytest.raises(ModelError) as error:
        begin(configs("b"), "b/my.yaml")
    assert error.value.message == (
        f"{tmp_path}/models/my: found a model that was trained with a/my.yaml, expected one of b/my.yaml{REMEDY}"
    )
    assert begin(configs("b"), "b/my.yaml", force=True).replaced is not None
    begin(configs("b", "output.model_dir=models/other"), "b/my.yaml")


def test_other_settings_need_no_force_and_neither_do_moved_or_grown_data(configs, tmp_path: Path) -> None:
    train_in(configs("a"), "a/my.yaml")
    begin(configs("a", "training.epochs=3", "training.learning_rate=0.5", "vocabulary.lowercase=true"), "a/my.yaml")
    begin(configs("a", "data.dev=0.1"), str(tmp_path / "a/my.yaml"))
    Path("moved").write_bytes(Path("a/train.conll").read_bytes())
    begin(configs("a", "data.train=moved", "data.dev=moved"), "a/my.yaml")
    Path("a/train.conll").write_text("a B-X\nb O\n")
    begin(configs("a"), "a/my.yaml")
    begin(configs("a"), None)


@pytest.mark.parametrize("key", ["data.train", "data.dev"])
def test_other_data_need_force(configs, tmp_path: Path, key: str) -> None:
    train_in(configs("a"), "a/my.yaml")
    file = key.replace("data.", "") + ".conll"
    with pytest.raises(ModelError) as error:
        begin(configs("a", f"{key}=b/{file}"), "a/my.yaml")
    assert error.value.message == (
        f"{tmp_path}/models/my: found a model that was trained with {key} a/{file}, expected b/{file} or a file with"
        f" the same content{REMEDY}"
    )
    begin(configs("a", f"{key}=b/{file}"), "a/my.yaml", force=True)


def test_a_model_without_a_record_is_compared_by_its_config(configs, tmp_path: Path) -> None:
    directory = tmp_path / "models/my"
    stored_model.save(directory)
    begin(configs("b"), "b/my.yaml")  # the config of this model names no data
    (directory / "config.yaml").write_text("data: {train: ../../a/train.conll, dev: 0.1}\n")
    begin(configs("a"), "a/my.yaml")
    with pytest.raises(
        ModelError, match=r"found a model that was trained with data\.train a/train\.conll, expected b/"
    ):
        begin(configs("b"), "b/my.yaml")
    Path("b/train.conll").write_bytes(Path("a/train.conll").read_bytes())
    begin(configs("b"), "b/my.yaml")
    (directory / "manifest.json").write_text("{}")
    begin(configs("b"), "b/my.yaml")


def test_a_model_is_better_only_on_the_same_dev_data() -> None:
    def standing(f1: float, data: str | None = "x") -> Standing:
        return Standing("", {"epoch": 3, "accuracy": 0.5, "f1": f1}, {} if data is None else {"dev data": data})

    assert standing(0.6).is_better_than(standing(0.5))
    assert not standing(0.5).is_better_than(standing(0.5))
    assert not standing(0.6).is_better_than(standing(0.5, "y"))
    assert not standing(0.6, None).is_better_than(standing(0.5, None))
    assert not standing(0.6).is_better_than(Standing("", {"epoch": 3}, {"dev data": "x"}))
    plain = Standing("", {"accuracy": 0.6}, {"dev data": "x"})
    assert plain.is_better_than(Standing("", {"accuracy": 0.5}, {"dev data": "x"}))


def test_the_origin_is_text_whatever_the_names_of_the_files(configs, tmp_path: Path) -> None:
    config = configs("a", "output.model_dir=m")
    origin = Place(tmp_path / "m", Replacing(config_file=Path("\udcff.yaml"))).origin(config, "2 sentences")
    assert origin == {
        "config": "../\\xff.yaml",
        "data.train": "../a/train.conll",
        "data.train sha256": origin["data.train sha256"],
        "data.dev": "../a/dev.conll",
        "data.dev sha256": origin["data.train sha256"],
        "dev data": "2 sentences",
    }
    json.dumps(origin).encode()


@pytest.mark.parametrize("keep", [True, False])
def test_a_finished_model_is_replaced_at_the_end_and_kept(configs, tmp_path: Path, keep: bool) -> None:
    config, directory = configs("a", "output.model_dir=m"), tmp_path / "m"
    new = {"manifest.json": b"{}", "config.yaml": b"data: {}"}
    place = Place(directory, Replacing(keep_previous=keep))
    place.begin(config)
    assert place.replaced is None
    stored_model.save(directory)
    old = (directory / "manifest.json").read_bytes()
    place.begin(config)
    record = place.to_json()
    assert place.replaced is not None
    assert record == {"replaces": place.replaced.checksum}

    resumed = Place(directory, Replacing(keep_previous=keep))
    resumed.resume(record, config)
    assert resumed.replaced == place.replaced
    assert resumed.publish(new) == (tmp_path / "m.previous" if keep else None)
    assert resumed.to_json() == {"replaces": None}
    assert (directory / "manifest.json").read_bytes() == b"{}"
    assert (tmp_path / "m.previous").exists() == keep
    if keep:
        assert (tmp_path / "m.previous/manifest.json").read_bytes() == old
        again = Place(directory)  # killed after the exchange and before the next state was written
        again.resume(record, config)
        assert again.replaced is None, "the model in place belongs to this training"
    Place(directory).resume({}, config)  # the state of an older version


def test_a_model_that_was_put_there_meanwhile_is_kept_too(configs, tmp_path: Path) -> None:
    stored_model.save(tmp_path / "m")
    place = begin(configs("a", "output.model_dir=m"), None)
    record = place.to_json()
    stored_model.save(tmp_path / "m", seed=2)
    place = Place(tmp_path / "m")
    place.resume(record, configs("a", "output.model_dir=m"))
    assert place.replaced == standing_in(tmp_path / "m")


def test_a_model_that_was_put_where_an_interrupted_training_had_none_is_kept_too(configs, tmp_path: Path) -> None:
    config, directory = configs("a", "output.model_dir=m"), tmp_path / "m"
    history = [{"epoch": epoch, "dev": {"accuracy": epoch / 10}} for epoch in (1, 2, 3)]
    record = begin(config, "a/my.yaml").to_json() | {"history": history}

    def resumed(name: str = "a/my.yaml", *, force: bool = False) -> Place:
        place = Place(directory, Replacing(config_file=Path(name), force=force))
        place.resume(record, config)
        return place

    assert resumed().replaced is None, "there is no model"
    train_in(config, "a/my.yaml")
    for epoch, accuracy in ((1, 0.1), (3, 0.3), (4, 0.7)):
        stored_model.rewrite_manifest(directory, dev={"epoch": epoch, "accuracy": accuracy})
        assert resumed().replaced is None, "the model is the best one of the training so far"
        assert resumed("renamed.yaml").replaced is None
    for epoch, accuracy in ((2, 0.3), (5, 0.5)):
        stored_model.rewrite_manifest(directory, dev={"epoch": epoch, "accuracy": accuracy})
        assert resumed().replaced == standing_in(directory), "the training had no such epoch"
    stored_model.rewrite_manifest(directory, dev={"epoch": 3, "accuracy": 0.3}, origin={})
    assert resumed().replaced is None, "a model of an older version does not say where it comes from"
    begin(configs("b", "output.model_dir=m"), "b/my.yaml", force=True)
    train_in(configs("b", "output.model_dir=m"), "b/my.yaml")
    with pytest.raises(
        ModelError, match=r"m: found a model that was trained with b/my\.yaml, expected one of a/my\.yaml"
    ):
        resumed()
    assert resumed(force=True).replaced == standing_in(directory)


def test_foreign_files_in_the_place_of_the_previous_model_are_not_replaced(tmp_path: Path) -> None:
    stored_model.save(tmp_path / "m")
    (tmp_path / "m.previous").mkdir()
    Place(tmp_path / "m").check()
    (tmp_path / "m.previous/thesis").write_text("mine")
    with pytest.raises(
        ModelError, match=r"m\.previous: cannot take the model that is replaced; move it, or pass --no-k"
    ) as error:
        Place(tmp_path / "m").check()
    assert "holds thesis" in error.value.detail[0]
    Place(tmp_path / "m", Replacing(keep_previous=False)).check()
    (tmp_path / "m.previous/thesis").unlink()
    (tmp_path / "m.previous").rmdir()
    stored_model.save(tmp_path / "m.previous")
    Place(tmp_path / "m").check()
    (tmp_path / "m.previous.training").mkdir()
    with pytest.raises(
        ModelError, match=r"m\.previous: found a model that has a training of its own, expected the place"
    ):
        Place(tmp_path / "m").check()
    Place(tmp_path / "m", Replacing(at_once=True)).check()
