"""The keys of the config file, with their defaults and checks.

Only `train` and `check` use the config; prediction reads the manifest instead.
"""

from __future__ import annotations

import contextlib
import enum
import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field

from tagger.architecture import (
    CHARACTER_UNITS,
    LAYERS,
    SIZE,
    Characters,
    Decoder,
    Direction,
    Merge,
    NetworkSpec,
)
from tagger.config_file import config_error, parse_setting, put_setting, read_yaml, where_set
from tagger.corpus.labels import Labels, read_names
from tagger.corpus.layout import check_columns, check_encoding
from tagger.corpus.notation import means_outside
from tagger.errors import ConfigError, DataError
from tagger.inputs.clusters import check_bits
from tagger.inputs.computed import MOST_LISTS, is_feature_name
from tagger.text.tokenizer import is_installed, unknown_language

T = TypeVar("T")
PATH_KEYS = (
    "data.train", "data.dev", "data.test", "data.names", "embeddings.path", "features.lists", "features.clusters",
    "model.pretrained", "output.model_dir",
)  # fmt: skip
# Some of them are keys for CoNLL too.
CONVERSION_KEYS = (
    "format", "columns", "delimiter", "encoding", "scheme", "names", "offsets", "align", "overlap",
)  # fmt: skip
_Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
_Rate = Annotated[float, Field(ge=0, lt=1)]
N = TypeVar("N", bound=enum.StrEnum)


def _name(value: object) -> object:
    """Return a value that pydantic accepts only if it is text; outside strict mode it would also accept bytes."""
    return repr(value) if isinstance(value, bytes) else value


# In strict mode pydantic accepts only the member itself, but a config file holds its name.
_Named = Annotated[N, Field(strict=False), pydantic.BeforeValidator(_name)]
# A path, a list of paths, or a glob; once loaded, a path or a list of paths.
Files = str | Annotated[list[str], Field(min_length=1)]
_Size = Annotated[int, Field(ge=SIZE.least, le=SIZE.most)]


class _Section(BaseModel):
    # protected_namespaces: pydantic before 2.10 reserves names that begin with `model_`.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=())


def _checked(check: Callable[[T], object], value: T) -> T:
    try:
        check(value)
    except DataError as error:
        raise ValueError(error.message) from None  # pydantic collects ValueErrors
    return value


class LabelsConfig(_Section):
    """The labels that are learned, where they are not those of the files."""

    keep: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="the types that are learned, by their new names; others become outside; null: all"
    )
    map: dict[str, str] = Field(default={}, description="{GPE: LOC}: types with their new names")

    @pydantic.model_validator(mode="after")
    def _rules(self) -> Self:
        _checked(lambda section: section.rules(), self)
        return self

    def rules(self) -> Labels:
        """Return the rules that these settings describe."""
        return Labels(map=self.map, keep=None if self.keep is None else tuple(self.keep))


class DataConfig(_Section):
    """The files, and how to read them."""

    train: Files
    dev: Annotated[float, Field(gt=0, lt=1)] | Files | None = 0.1
    test: Files | None = None
    columns: dict[str, int | str] = {}
    delimiter: Annotated[str, Field(min_length=1)] | None = None
    comments: Annotated[str, Field(min_length=1)] = "auto"
    format: Annotated[str, Field(min_length=1)] | None = None
    names: str | Annotated[list[str], Field(min_length=1)] | None = None
    offsets: Literal["characters", "utf-16", "bytes"] | None = None
    align: Literal["error", "expand", "contract", "split", "drop"] | None = None
    overlap: Literal["error", "longest", "first", "outer", "inner"] | None = None
    labels: LabelsConfig = LabelsConfig()
    language: Annotated[str, Field(min_length=1)] | None = None
    scheme: Literal["auto", "IOB1", "IOB2", "IOE1", "IOE2", "IOBES", "BILOU", "BIOS", "BIOE", "IO", "none"] = "auto"
    encoding: str = "utf-8"
    tag_key: Annotated[str, Field(min_length=1)] | None = None
    several_tags: Literal["first", "last"] | None = None
    unknown_tag: Annotated[str, Field(min_length=1)] | None = None
    annotated: Literal["auto", "all"] | list[str] = "auto"
    ragged: bool | None = None
    trust: bool = False
    max_length: Annotated[int, Field(ge=1, le=1 << 20)] | None = None

    @pydantic.field_validator("columns")
    @classmethod
    def _columns(cls, columns: dict[str, int | str]) -> dict[str, int | str]:
        for name in columns:
            if not is_feature_name(name):
                raise ValueError(
                    f"found the name {name!r}, expected letters, digits, _ and -, as in {{token: 0, pos: 1}}"
                )
        _checked(check_columns, {name: index for name, index in columns.items() if isinstance(index, int)})
        return columns

    @pydantic.field_validator("encoding")
    @classmethod
    def _encoding(cls, encoding: str) -> str:
        return _checked(check_encoding, encoding)

    @pydantic.field_validator("language")
    @classmethod
    def _language(cls, language: str | None) -> str | None:
        if language is not None and is_installed() and (unknown := unknown_language(language)) is not None:
            raise ValueError(unknown)
        return language

    @pydantic.field_validator("unknown_tag", mode="before")
    @classmethod
    def _question_mark(cls, tag: object) -> object:
        return "?" if tag == {None: None} else tag  # YAML reads a question mark without quotes as an empty mapping

    @pydantic.field_validator("unknown_tag")
    @classmethod
    def _unknown_tag(cls, tag: str | None) -> str | None:
        if tag is not None and (means_outside(tag) or tag != "".join(tag.split())):
            raise ValueError(
                f"found {tag!r}, expected a tag without blanks that does not mean outside, such as '?'; choose another"
            )
        return tag

    @property
    def conversion(self) -> dict[str, Any]:
        """The keys that say how files of other formats become CoNLL, as far as they are set."""
        values = {name: getattr(self, name) for name in CONVERSION_KEYS}
        return {name: value for name, value in values.items() if value != type(self).model_fields[name].default}


class VocabularyConfig(_Section):
    """The tokens that the network knows."""

    min_count: _Count = 1
    lowercase: bool = False
    normalize_digits: bool = False
    max_size: _Count | None = None
    unk_probability: Annotated[float, Field(ge=0, le=1)] = 0.3
    word_dropout: _Rate = 0.0
    character_dropout: _Rate = 0.0


class EmbeddingsConfig(_Section):
    """Pretrained vectors."""

    path: str | None = None
    name: str | None = None
    trainable: bool = True
    max_rows: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    dtype: Literal["float32", "float16"] = "float32"

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.path is not None and self.name is not None:
            raise ValueError("found both path and name, expected one of them; delete the other")
        if self.path is None and self.name is None and (not self.trainable or self.max_rows is not None):
            raise ValueError("found trainable or max_rows without path or name, expected one of them; add one")
        return self


class FeaturesConfig(_Section):
    """Features that are computed from the tokens: matches of word lists, and clusters of words."""

    lists: dict[str, str] = {}
    ignore_case: bool = False
    list_dropout: _Rate = 0.0
    clusters: str | None = None
    cluster_language: Literal["de", "en", "es"] | None = None
    cluster_bits: list[int] = [4, 6, 10, 20]

    @pydantic.field_validator("lists")
    @classmethod
    def _lists(cls, lists: dict[str, str]) -> dict[str, str]:
        for name in lists:
            if not is_feature_name(name):
                raise ValueError(
                    f"found the name {name!r}, expected letters, digits, _ and -, as in {{city: cities.txt}}"
                )
        if len(lists) > MOST_LISTS:
            raise ValueError(f"found {len(lists)} lists, expected at most {MOST_LISTS}; join some of them")
        return lists

    @pydantic.field_validator("cluster_bits")
    @classmethod
    def _cluster_bits(cls, bits: list[int]) -> list[int]:
        check_bits(bits)
        return bits

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.clusters is not None and self.cluster_language is not None:
            raise ValueError("found both clusters and cluster_language, expected one of them; delete the other")
        return self

    def sources(self) -> dict[str, Any]:
        """Return the arguments of `lexicons.features.read_lexicons`."""
        return {name: value for name, value in self if name != "list_dropout"}


class NetworkConfig(_Section):
    """The two-branch network."""

    embedding_dim: _Size = 100
    characters: _Named[Characters] = Characters.CNN
    character_dim: _Size = 30
    character_units: Annotated[int, Field(ge=CHARACTER_UNITS.least, le=CHARACTER_UNITS.most)] = 50
    casing: bool = True
    feature_dim: _Size = 20
    units: _Size = 150
    layers: Annotated[int, Field(ge=LAYERS.least, le=LAYERS.most)] = 2
    direction: _Named[Direction] = Direction.BOTH
    merge: _Named[Merge] = Merge.CONCAT
    dropout: _Rate = 0.5
    input_dropout: _Rate = 0.25
    token_dropout: _Rate = 0.25
    recurrent_dropout: _Rate = 0.0
    decoder: _Named[Decoder] = Decoder.CONSTRAINED
    scheme: Literal["IOB2", "IOBES"] = "IOBES"
    pretrained: str | None = None

    @pydantic.field_validator("character_units")
    @classmethod
    def _character_units(cls, units: int, others: pydantic.ValidationInfo) -> int:
        if others.data.get("characters") == Characters.LSTM and units % 2:
            raise ValueError(f"found {units}, expected an even number: half of the units read the token backwards")
        return units

    @pydantic.model_validator(mode="after")
    def _size(self) -> Self:
        self.spec()  # raises ValueError if a machine cannot hold the network
        return self

    def spec(self) -> NetworkSpec:
        """Return the architecture that these settings describe."""
        return NetworkSpec(**self.model_dump(exclude={"scheme", "pretrained"}))


class TrainingConfig(_Section):
    """The way the network is trained."""

    epochs: _Count | None = None
    batch_size: _Count | None = None
    optimizer: Literal["adam", "nadam", "sgd"] = "nadam"
    learning_rate: Annotated[float, Field(gt=0)] = 0.002
    decay: Annotated[float, Field(ge=0)] = 0.05
    steps: dict[_Count, Annotated[float, Field(gt=0)]] = {}
    clip_norm: Annotated[float, Field(gt=0)] | None = 5.0
    ema: Annotated[float, Field(gt=0, lt=1)] | None = 0.998
    label_smoothing: _Rate = 0.0
    type_weights: dict[str, Annotated[float, Field(gt=0, le=1e6)]] = {}
    accumulate: _Count = 1
    freeze: list[Literal["embedding", "characters", "casing", "features", "block_1", "branches", "softmax", "crf"]] = []
    patience: _Count | Literal["auto"] | None = "auto"
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 1
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    mixed_precision: bool = False
    calibrate: bool = True
    checkpoint_minutes: Annotated[float, Field(gt=0)] | None = 10
    log: list[Literal["tensorboard", "mlflow"]] = []


class OutputConfig(_Section):
    """The place for the model."""

    model_dir: str | None = None
    quantize: Literal["int8"] | None = None
    quantize_loss: Annotated[float, Field(ge=0, le=100)] = 0.2


class Config(_Section):
    """A whole config file. All paths are absolute once loaded."""

    data: DataConfig
    vocabulary: VocabularyConfig = VocabularyConfig()
    embeddings: EmbeddingsConfig = EmbeddingsConfig()
    features: FeaturesConfig = FeaturesConfig()
    model: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    output: OutputConfig = OutputConfig()


def load_config(path: str | Path, settings: Sequence[str] = ()) -> Config:
    """Read a config file and apply `--set key.path=value` settings to it.

    Relative paths in the file are relative to the file; relative paths in settings are relative to the working
    directory. The default of `output.model_dir` is models/<config name> in the working directory.

    Raises:
        ConfigError: the config is not valid; the message names the file, line and key, or the setting.
    """
    path = Path(path)
    values, lines = read_yaml(path, Config.model_fields)
    return config_of(values, settings, path=path, lines=lines)


def config_of(
    values: dict[str, Any],
    settings: Sequence[str] = (),
    *,
    path: Path,
    lines: dict[str, int] | None = None,
) -> Config:
    """Check the values of a config and apply `--set key.path=value` settings to them.

    Args:
        values: the values by section; they are changed.
        settings: the settings.
        path: the config file that has the values, or would have them; relative paths are relative to it.
        lines: the line of every key in it.

    Raises:
        ConfigError: as in `load_config`.
    """
    lines = lines or {}
    origins: dict[str, str] = {}
    for key in PATH_KEYS:
        _make_absolute(values, key, path.parent)
    for setting in settings:
        key, value = parse_setting(setting)
        put_setting(values, key, value, setting)
        origins[key] = f"--set {setting[:80]}"
        for path_key in PATH_KEYS:
            if path_key == key or path_key.startswith(f"{key}.") or key.startswith(f"{path_key}."):
                _make_absolute(values, path_key, Path())
    for name in Config.model_fields:
        if values.get(name, ...) is None:
            del values[name]  # a section without keys has all defaults
    try:
        config = Config.model_validate(values)
    except pydantic.ValidationError as error:
        raise config_error(error, Config, path, lines, origins) from None
    batch_size = config.training.batch_size
    if batch_size is not None and config.training.accumulate > batch_size:
        key = "training.accumulate"
        raise ConfigError(
            f"{where_set(key, path, lines, origins)}: {key}: found {config.training.accumulate}, expected at most"
            f" training.batch_size ({batch_size}): each part needs a sentence; use fewer parts"
        )
    source = "path" if config.embeddings.path is not None else "name" if config.embeddings.name is not None else None
    if config.model.pretrained is not None and source is not None:
        key = f"embeddings.{source}"
        raise ConfigError(
            f"{where_set(key, path, lines, origins)}: {key}: found it with model.pretrained, which has vectors of its"
            " own, expected one of them; delete the other"
        )
    if config.model.decoder == Decoder.CRF and config.training.label_smoothing:
        key = "training.label_smoothing"
        raise ConfigError(
            f"{where_set(key, path, lines, origins)}: {key}: found {config.training.label_smoothing}, expected 0 with"
            " a CRF, which scores whole sequences; delete the key, or set model.decoder to constrained"
        )
    if config.output.quantize is not None and config.data.dev is None and config.output.quantize_loss < 100:
        key = "output.quantize"
        raise ConfigError(
            f"{where_set(key, path, lines, origins)}: {key}: found {config.output.quantize} without data.dev, expected"
            " a dev set to measure the loss of F1 on; set data.dev, or set output.quantize_loss to 100 to measure"
            " nothing"
        )
    for key in PATH_KEYS:
        section, _, name = key.partition(".")
        found = getattr(getattr(config, section), name)
        several = found.values() if isinstance(found, dict) else found if isinstance(found, list) else []
        for one in [found] if isinstance(found, str) else several:
            _check_path(one, f"{where_set(key, path, lines, origins)}: {key}")
    config = _with_names(_without_globs(config, lambda key: where_set(key, path, lines, origins)))
    if config.output.model_dir is None:
        config = with_model_dir(config, Path("models", path.stem))
    return config


def _without_globs(config: Config, where: Callable[[str], str]) -> Config:
    """Return the config with the files that its globs match, sorted.

    Args:
        where: says where a key was set.

    Raises:
        ConfigError: a glob matches nothing, or a file is named twice.
    """
    found = {}
    for key in ("train", "dev", "test"):
        value = getattr(config.data, key)
        if not isinstance(value, str | list) or (isinstance(value, str) and not _is_glob(value)):
            continue
        files: list[str] = []
        for name in [value] if isinstance(value, str) else value:
            # pathlib's glob needs a folder to start from, which an absolute pattern does not name.
            matches = sorted(file for file in glob.glob(name, recursive=True) if Path(file).is_file())  # noqa: PTH207
            if _is_glob(name) and not matches:
                raise ConfigError(
                    f"{where(f'data.{key}')}: data.{key}: found {name}, which matches no file, expected at least one;"
                    " check the path"
                )
            files += matches if _is_glob(name) else [name]
        twice = next((file for i, file in enumerate(files) if file in files[:i]), None)
        if twice is not None:
            raise ConfigError(
                f"{where(f'data.{key}')}: data.{key}: found {twice} twice, expected each file once; delete one"
            )
        found[key] = files
    return config.model_copy(update={"data": config.data.model_copy(update=found)})


def _with_names(config: Config) -> Config:
    """Return the config with the names in the file that `data.names` names."""
    if not isinstance(config.data.names, str):
        return config
    names = list(read_names(config.data.names))
    return config.model_copy(update={"data": config.data.model_copy(update={"names": names})})


def _is_glob(path: str) -> bool:
    return glob.has_magic(path) and not os.path.lexists(path)


def with_model_dir(config: Config, model_dir: str | Path) -> Config:
    """Return the config with another model directory, relative to the working directory.

    Raises:
        ConfigError: no directory can have this name.
    """
    _check_path(str(model_dir), "--model")
    output = config.output.model_copy(update={"model_dir": _absolute(model_dir, Path())})
    return config.model_copy(update={"output": output})


def dump_config(config: Config, *, only_set: bool = False) -> str:
    """Return the config as YAML, with the value of every key, or only of those that are set.

    Keys that are set and those that have their defaults are not always the same: `model.embedding_dim` follows the
    pretrained vectors if it is not set.
    """
    return yaml.dump(config.model_dump(exclude_unset=only_set), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def parse_config(text: str) -> Config:
    """Return the config that `dump_config` wrote."""
    return config_of(yaml.safe_load(text), path=Path("config.yaml"))


class _Dumper(yaml.SafeDumper):
    """A safe YAML dumper that writes a member of an enumeration as its name in the config."""


_Dumper.add_multi_representer(enum.StrEnum, lambda dumper, member: dumper.represent_str(member.value))


def config_keys() -> list[str]:
    """Return all keys as `section.key`, in the order of the config reference."""
    return [
        f"{name}.{key}"
        for name, section in Config.model_fields.items()
        for key in section.annotation.model_fields  # type: ignore[union-attr]
    ]


def _make_absolute(values: dict[str, Any], key: str, base: Path) -> None:
    section, _, name = key.partition(".")
    inner = values.get(section)
    if key not in PATH_KEYS or not isinstance(inner, dict):
        return
    value = inner.get(name)
    if isinstance(value, str):
        inner[name] = _absolute(value, base)
    elif isinstance(value, list) and key != "data.names":  # a list of names names no files
        inner[name] = [_absolute(path, base) if isinstance(path, str) else path for path in value]
    elif isinstance(value, dict):
        inner[name] = {key: _absolute(path, base) if isinstance(path, str) else path for key, path in value.items()}


def _check_path(path: str, where: str) -> None:
    """Raise ConfigError for text that the system cannot take as a path."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        code = ord(path[error.start])
        raise ConfigError(
            f"{where}: found U+{code:04X} in the path, expected a path without it; choose another"
        ) from None
    if "\0" in path:
        raise ConfigError(f"{where}: found a NUL character in the path, expected a path without it; choose another")


def _absolute(path: str | Path, base: Path) -> str:
    with contextlib.suppress(RuntimeError, ValueError):  # `~` with an unknown user, or a NUL: keep the path as it is
        path = Path(path).expanduser()
    return os.path.abspath(base / path)  # noqa: PTH100 (pathlib keeps the `..`)
