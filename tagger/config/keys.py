"""The keys of the config file, with their defaults and checks.

Only `train` and `check` use the config; prediction reads the manifest instead.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self, TypeVar

import pydantic
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
from tagger.config.problems import Expected
from tagger.corpus.labels import Labels
from tagger.corpus.layout import check_columns, check_encoding
from tagger.corpus.notation import means_outside
from tagger.corpus.schemes import NO_SCHEME
from tagger.errors import DataError
from tagger.inputs.clusters import check_bits
from tagger.inputs.computed import MOST_LISTS, is_feature_name
from tagger.inputs.subwords import MOST_PAIRS
from tagger.inputs.vocabulary import Normalization
from tagger.text.tokenizer import is_installed, unknown_language

T = TypeVar("T")
# Some of them are keys for CoNLL too.
CONVERSION_KEYS = (
    "format", "columns", "delimiter", "encoding", "scheme", "names", "offsets", "align", "overlap",
)  # fmt: skip
USUAL_SUBWORDS = 2000
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

    def sets(self, name: str) -> bool:
        """Return whether the user has set a key to anything but null."""
        return name in self.model_fields_set and getattr(self, name) is not None


def _checked(check: Callable[[T], object], value: T) -> T:
    try:
        check(value)
    except DataError as error:
        raise ValueError(error.message) from None  # pydantic collects ValueErrors
    return value


class LabelsConfig(_Section):
    """The labels that are learned, where they are not those of the files."""

    keep: Annotated[
        Annotated[list[str], Field(min_length=1)] | None,
        Expected("a list of types, as in [PER, LOC], or null", quotes_value=True),
    ] = Field(
        default=None, description="the types that are learned, by their new names; others become outside; null: all"
    )
    map: Annotated[dict[str, str], Expected("types with their new names, as in {GPE: LOC}", quotes_value=True)] = Field(
        default={}, description="{GPE: LOC}: types with their new names"
    )

    @pydantic.model_validator(mode="after")
    def _rules(self) -> Self:
        _checked(lambda section: section.rules(), self)
        return self

    def rules(self) -> Labels:
        """Return the rules that these settings describe."""
        return Labels(map=self.map, keep=None if self.keep is None else tuple(self.keep))


class DataConfig(_Section):
    """The files, and how to read them."""

    train: Annotated[Files, Expected("a path or a list of paths")]
    dev: Annotated[
        Annotated[float, Field(gt=0, lt=1)] | Files | None,
        Expected("a path, a list of paths, a fraction above 0 and below 1, or null for no dev set"),
    ] = 0.1
    test: Annotated[Files | None, Expected("a path, a list of paths, or null")] = None
    columns: Annotated[dict[str, int | str], Expected("names with their columns, as in {token: 0, tag: -1}")] = {}
    delimiter: Annotated[str, Field(min_length=1)] | None = None
    comments: Annotated[str, Field(min_length=1)] = "auto"
    format: Annotated[str, Field(min_length=1)] | None = None
    names: Annotated[
        str | Annotated[list[str], Field(min_length=1)] | None,
        Expected("a list of names, as in [O, B-PER, I-PER], a file of names, or null", quotes_value=True),
    ] = None
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
    annotated: Annotated[
        Literal["auto", "all"] | list[str], Expected("auto, all, or a list of types, as in [PER, LOC]")
    ] = "auto"
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
    lowercase: bool | None = None
    normalize_digits: bool | None = None
    max_size: _Count | None = None
    unk_probability: Annotated[float, Field(ge=0, le=1)] = 0.3
    word_dropout: _Rate = 0.0
    character_dropout: _Rate = 0.0


class VectorsConfig(_Section):
    """Pretrained vectors to begin with."""

    path: str | None = None
    name: str | None = None
    trainable: bool = True
    max_rows: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None

    @property
    def source(self) -> str | None:
        """The key that names the vectors, `path` or `name`; None without vectors."""
        return "path" if self.path is not None else "name" if self.name is not None else None

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.path is not None and self.name is not None:
            raise ValueError("found both path and name, expected one of them; delete the other")
        if self.path is None and self.name is None and (not self.trainable or self.max_rows is not None):
            raise ValueError(
                "found trainable or max_rows without path or name, expected one of them; add one (training.freeze:"
                " [embedding] keeps an embedding from elsewhere)"
            )
        return self


class EmbeddingsConfig(VectorsConfig):
    """Pretrained vectors to begin with, and how the model stores its embedding."""

    dtype: Literal["float32", "float16"] = "float32"


class FeaturesConfig(_Section):
    """Features that are computed from the tokens: matches of word lists, clusters of words, and subwords."""

    lists: Annotated[dict[str, str], Expected("names with files, as in {city: cities.txt}", quotes_value=True)] = {}
    ignore_case: bool = False
    list_dropout: _Rate = 0.0
    clusters: str | None = None
    cluster_language: Literal["de", "en", "es"] | None = None
    cluster_bits: list[int] = [4, 6, 10, 20]
    subwords: Annotated[int, Field(ge=0, le=MOST_PAIRS)] | None = None

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
        return {name: value for name, value in self if name not in ("list_dropout", "subwords")}


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
    decoder: _Named[Decoder] | None = None
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

    def spec(self, usual_decoder: Decoder = Decoder.CRF) -> NetworkSpec:
        """Return the architecture that these settings describe, with the usual decoder if they name none."""
        settings = self.model_dump(exclude={"scheme", "pretrained"})
        return NetworkSpec(**settings | {"decoder": self.decoder or usual_decoder})


class TrainingConfig(_Section):
    """The way the network is trained."""

    pretraining_epochs: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    epochs: _Count | None = None
    batch_size: _Count | None = None
    optimizer: Literal["adam", "nadam", "sgd"] = "nadam"
    learning_rate: Annotated[float, Field(gt=0)] = 0.002
    decay: Annotated[float, Field(ge=0)] = 0.05
    steps: Annotated[
        dict[_Count, Annotated[float, Field(gt=0)]],
        Expected("epochs (from 1) with factors above 0, as in {20: 0.1}"),
    ] = {}
    clip_norm: Annotated[float, Field(gt=0)] | None = 5.0
    ema: Annotated[float, Field(gt=0, lt=1)] | None = 0.998
    label_smoothing: _Rate = 0.0
    type_weights: dict[str, Annotated[float, Field(gt=0, le=1e6)]] = {}
    accumulate: _Count = 1
    freeze: list[Literal["embedding", "characters", "casing", "features", "block_1", "branches", "softmax", "crf"]] = []
    patience: Annotated[
        _Count | Literal["auto"] | None, Expected("a whole number from 1 to 1000000000, auto, or null")
    ] = "auto"
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

    @property
    def begins_with(self) -> str | None:
        """The key that names what the embedding begins with, a pretrained directory or vectors; None if none does."""
        if self.model.pretrained is not None:
            return "model.pretrained"
        source = self.embeddings.source
        return f"embeddings.{source}" if source else None

    def usual_decoder(self, scheme: str) -> Decoder:
        """Return how tags are chosen unless the config says it: by a CRF, but not where that is impossible or costly.

        A CRF cannot learn from smoothed labels. There may be many hundreds of plain tags, and a CRF needs time in the
        square of their number.

        Args:
            scheme: that of the training file.
        """
        without = self.training.label_smoothing > 0 or scheme == NO_SCHEME
        return Decoder.CONSTRAINED if without else Decoder.CRF

    @property
    def normalization(self) -> Normalization:
        """How tokens are looked up.

        Unless the config says so, this keeps what only the token itself has: pretrained vectors may be of cased words,
        and a network that reads no characters sees the letters nowhere else.
        """
        reads_letters, has_vectors = self.model.characters != Characters.NONE, self.embeddings.source is not None
        usual = reads_letters and not has_vectors
        given = self.vocabulary.lowercase, self.vocabulary.normalize_digits
        return Normalization(*(usual if value is None else value for value in given))

    @property
    def subwords(self) -> int:
        """The number of merges of the subwords that the network reads; 0 for none.

        Unless the config says so, a network without characters has no subwords either. Nor has one that begins with
        vectors, beside which subwords did not gain, or with a pretrained directory, where they were not measured.
        """
        if self.features.subwords is not None:
            return self.features.subwords
        reads_letters = self.model.characters != Characters.NONE
        return USUAL_SUBWORDS if reads_letters and self.begins_with is None else 0

    @property
    def chosen(self) -> dict[str, dict[str, Any]]:
        """The values, by section and key, of the settings whose null depends on other keys.

        The decoder is the one for spans unless `data.scheme` says that tags are plain.
        """
        decoder = self.model.decoder or self.usual_decoder(self.data.scheme)
        return {
            "vocabulary": dataclasses.asdict(self.normalization),
            "features": {"subwords": self.subwords},
            "model": {"decoder": decoder},
        }
