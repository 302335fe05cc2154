"""The settings of `tagger pretrain`, with their defaults and checks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from tagger.architecture import CHARACTER_UNITS, SIZE, Characters, NetworkSpec
from tagger.config.file import parse_setting, put_setting
from tagger.config.keys import VectorsConfig
from tagger.config.problems import config_error

_Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
_Size = Annotated[int, Field(ge=SIZE.least, le=SIZE.most)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=())


class PretrainingVocabularyConfig(_Section):
    """The tokens that the language models know."""

    min_count: _Count = 3
    max_size: _Count | None = 200_000
    lowercase: bool = True
    normalize_digits: bool = True


class PretrainingNetworkConfig(_Section):
    """The sizes of the embedding and the first block, which a tagger that begins with them has too."""

    embedding_dim: _Size = 100
    characters: Annotated[Characters, Field(strict=False)] = Characters.CNN
    character_dim: _Size = 30
    character_units: Annotated[int, Field(ge=CHARACTER_UNITS.least, le=CHARACTER_UNITS.most)] = 50
    casing: bool = True
    units: _Size = 150

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Self:
        if self.characters == Characters.LSTM and self.character_units % 2:
            raise ValueError(f"character_units: found {self.character_units}, expected an even number with lstm")
        self.spec()  # raises ValueError if a machine cannot hold the network
        return self

    def spec(self) -> NetworkSpec:
        """Return the architecture of a tagger with these sizes and one block."""
        return NetworkSpec(**self.model_dump())


class PretrainingTrainingConfig(_Section):
    """The way the language models are trained."""

    epochs: _Count = 3
    streams: _Count = 32
    steps: _Count = 32
    samples: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    learning_rate: Annotated[float, Field(gt=0)] = 0.002
    reset_states: bool = True
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.01
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 1
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    checkpoint_minutes: Annotated[float, Field(gt=0)] | None = 10


class PretrainingConfig(_Section):
    """All settings of `tagger pretrain`."""

    vocabulary: PretrainingVocabularyConfig = PretrainingVocabularyConfig()
    embeddings: VectorsConfig = VectorsConfig()
    model: PretrainingNetworkConfig = PretrainingNetworkConfig()
    training: PretrainingTrainingConfig = PretrainingTrainingConfig()

    def settings(self) -> dict[str, Any]:
        """Return the value of each key, as `section.key`."""
        values = self.model_dump(mode="json")
        return {f"{section}.{key}": value for section, keys in values.items() for key, value in keys.items()}


def pretraining_config_of(settings: Sequence[str]) -> PretrainingConfig:
    """Return the config that settings `key.path=value` describe.

    Raises:
        ConfigError: a setting is not valid.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for setting in settings:
        key, value = parse_setting(setting)
        put_setting(values, key, value, setting)
        origins[key] = f"--set {setting[:80]}"
    try:
        return PretrainingConfig.model_validate(values)
    except pydantic.ValidationError as error:
        raise config_error(error, PretrainingConfig, Path("tagger pretrain"), {}, origins) from None
