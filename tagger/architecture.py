"""The architecture of a network: its settings, the values that each may have, and how much memory a step takes.

The manifest, the network in TensorFlow and the graph in ONNX are all made from one `NetworkSpec`, and so is the check
of `model:` in the config. A new option is a field here, a key in the config, and code in the layer and in the graph.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple, Self, get_type_hints

from tagger.errors import shortened
from tagger.inputs.characters import Casing
from tagger.inputs.encoder import Sizes


class Characters(enum.StrEnum):
    """The ways to read the characters of a token."""

    NONE = "none"
    CNN = "cnn"
    LSTM = "lstm"


class Direction(enum.StrEnum):
    """The branches of a network."""

    BOTH = "both"
    FORWARD = "forward"
    BACKWARD = "backward"

    @property
    def branches(self) -> tuple[str, ...]:
        """The names of the branches."""
        return ("forward", "backward") if self is Direction.BOTH else (self.value,)


class Merge(enum.StrEnum):
    """The ways to merge the outputs of two branches."""

    CONCAT = "concat"
    SUM = "sum"
    MUL = "mul"
    AVE = "ave"


class Decoder(enum.StrEnum):
    """The decoders, which turn logits into tags."""

    CONSTRAINED = "constrained"
    SOFTMAX = "softmax"
    CRF = "crf"


class Range(NamedTuple):
    """The whole numbers from `least` to `most`, both included."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"a whole number from {self.least} to {self.most}"

    def allows(self, value: object) -> bool:
        """Return whether a value is one of the numbers; True and False are not."""
        return type(value) is int and self.least <= value <= self.most


class Rate(NamedTuple):
    """The numbers from 0 up to, but not including, 1."""

    def __str__(self) -> str:
        return "a number from 0 to below 1"

    def allows(self, value: object) -> bool:
        return isinstance(value, int | float) and type(value) is not bool and 0 <= value < 1


class Flag(NamedTuple):
    """True and False."""

    def __str__(self) -> str:
        return "true or false"

    def allows(self, value: object) -> bool:
        return type(value) is bool


# A machine can hold a network of these sizes; a larger number is a mistake or an attack.
SIZE = Range(1, 8192)
LAYERS = Range(1, 64)
CHARACTER_UNITS = Range(2, 2048)
_MOST_WEIGHTS = 1 << 31  # of all LSTMs together: 8 GB
RATE, FLAG = Rate(), Flag()

CNN_WIDTH = 3  # the number of neighboring characters that the CNN sees at once
CASING_DIM = 10  # size of the embedding of a casing, of which there are eight (Reimers & Gurevych 2017)
CRF_OUTPUTS = ("transition", "start", "end")  # the weights of a CRF, as a graph gives them


# The parts of a network whose weights training can leave as they are, with the beginning of the names of their weights.
PARTS: Mapping[str, str] = {
    "embedding": "embedding",
    "characters": "characters.",
    "casing": "casing.",
    "features": "features.",
    "block_1": "block_1.",
    "branches": "block_",
    "softmax": "softmax.",
    "crf": "crf.",
}


def weights_of_parts(parts: Iterable[str], names: Iterable[str]) -> set[str]:
    """Return the weights that belong to some parts of a network, out of the names of all its weights."""
    beginnings = tuple(PARTS[part] for part in parts)
    return {name for name in names if name.startswith(beginnings)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """Everything about a network that the config decides; the config reference says what each setting does.

    The default of a setting applies to networks whose manifest is older than the setting. The default of a new setting
    must therefore keep the old behavior, even if the config recommends another value.

    Raises:
        ValueError: a value is not allowed; the message begins with the name of the setting.
    """

    embedding_dim: Annotated[int, SIZE] = 100
    characters: Characters = Characters.NONE
    character_dim: Annotated[int, SIZE] = 30
    character_units: Annotated[int, CHARACTER_UNITS] = 50
    casing: Annotated[bool, FLAG] = False
    feature_dim: Annotated[int, SIZE] = 20
    units: Annotated[int, SIZE] = 100
    layers: Annotated[int, LAYERS] = 1
    direction: Direction = Direction.BOTH
    merge: Merge = Merge.CONCAT
    dropout: Annotated[float, RATE] = 0.0
    input_dropout: Annotated[float, RATE] = 0.0
    token_dropout: Annotated[float, RATE] = 0.0
    recurrent_dropout: Annotated[float, RATE] = 0.0
    decoder: Decoder = Decoder.CONSTRAINED

    def __post_init__(self) -> None:
        for name, kind in _fields().items():
            value, allowed = getattr(self, name), getattr(kind, "__metadata__", (kind,))[0]
            if isinstance(allowed, Range | Rate | Flag):
                if not allowed.allows(value):
                    raise ValueError(f"{name}: found {_shown(value)}, expected {allowed}")
            elif value in list(allowed):
                object.__setattr__(self, name, allowed(value))
            else:
                raise ValueError(f"{name}: found {_shown(value)}, expected one of {', '.join(allowed)}")
        width = self.units * (self.n_branches if self.merge == Merge.CONCAT else 1)
        n_weights = self.layers * self.n_branches * 4 * self.units * (width + self.units)
        if n_weights > _MOST_WEIGHTS:
            raise ValueError(
                f"layers: found {self.layers} layers of {self.units} units, which are {n_weights:,} weights, expected"
                f" at most {_MOST_WEIGHTS:,}; lower model.layers or model.units"
            )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build a spec from plain values. A missing setting takes its default.

        Raises:
            ValueError: a setting is unknown or a value is not allowed.
        """
        for name in values:
            if name not in _fields():
                raise ValueError(
                    f"{_shown(name).strip(chr(34))}: found an unknown setting, expected one of {', '.join(_fields())}"
                )
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values; the inverse of `from_json`."""
        return {name: str(value) if isinstance(value, enum.Enum) else value for name, value in vars(self).items()}

    @property
    def reads_forms(self) -> bool:
        """Whether the network reads the forms of tokens: their characters or their casing."""
        return self.characters != Characters.NONE or self.casing

    @property
    def has_crf(self) -> bool:
        return self.decoder == Decoder.CRF

    def weighs_transitions(self, *, plain: bool) -> bool:
        """Return whether the decoder depends on which tag follows which; with plain tags only a CRF does."""
        return self.has_crf or (self.decoder == Decoder.CONSTRAINED and not plain)

    @property
    def n_branches(self) -> int:
        return len(self.direction.branches)

    def input_dim(self, sizes: Sizes) -> int:
        """Return the size of a token's representation, which is the input of the first block."""
        characters = self.character_units if self.characters != Characters.NONE else 0
        casing = CASING_DIM if self.casing else 0
        return self.embedding_dim + characters + casing + sizes.n_features * self.feature_dim

    def weight_shapes(self, sizes: Sizes) -> dict[str, tuple[int, ...]]:
        """Return the shape of each weight by its name in `weights.safetensors`, and that of `embedding`."""
        shapes: dict[str, tuple[int, ...]] = {"embedding": (sizes.n_tokens, self.embedding_dim)}
        if self.characters != Characters.NONE:
            shapes["characters.embedding"] = (sizes.n_characters, self.character_dim)
        if self.characters == Characters.CNN:
            shapes["characters.kernel"] = (CNN_WIDTH, self.character_dim, self.character_units)
            shapes["characters.bias"] = (self.character_units,)
        elif self.characters == Characters.LSTM:
            for branch in Direction.BOTH.branches:
                shapes |= _lstm_shapes(f"characters.{branch}", self.character_dim, self.character_units // 2)
        if self.casing:
            shapes["casing.embedding"] = (len(Casing), CASING_DIM)
        if sizes.n_features:
            shapes["features.embedding"] = (sizes.n_feature_ids, self.feature_dim)
        width = self.input_dim(sizes)
        for i in range(1, self.layers + 1):
            for branch in self.direction.branches:
                shapes |= _lstm_shapes(f"block_{i}.{branch}", width, self.units)
            width = self.units * (self.n_branches if self.merge == Merge.CONCAT else 1)
        shapes |= {"softmax.kernel": (width, sizes.n_tags), "softmax.bias": (sizes.n_tags,)}
        if self.has_crf:
            shapes |= {f"crf.{name}": (sizes.n_tags,) * (1 + (name == "transition")) for name in CRF_OUTPUTS}
        return shapes

    def prediction_bytes(self, sizes: Sizes) -> int:
        """Return the approximate number of bytes that one token of a batch takes in prediction.

        This counts the gates and outputs of the branches, their input, the logits and the paths. In measurements, the
        process grew by 10.1 kB per token where this returns 10.5 kB (150 units, 2 layers), and by 2.4 kB where it
        returns 4.1 kB.
        """
        return _FLOAT_BYTES * (self.n_branches * 8 * self.units + 2 * self.embedding_dim + 6 * sizes.n_tags)

    @property
    def prediction_bytes_of_a_character(self) -> int:
        """The approximate number of bytes that one character takes in prediction, padding included.

        Each distinct token of a batch has as many characters as the longest of them.
        """
        arrays = {Characters.NONE: 0, Characters.CNN: 4, Characters.LSTM: 8}[self.characters]
        return _FLOAT_BYTES * arrays * self.character_units

    def training_bytes(self, sizes: Sizes) -> int:
        """Return the approximate number of bytes that one token of a batch takes in training.

        In measurements, the process grew by 10 to 20 % less (CPU kernel, batches of 16,000 steps, 100 and 200 units,
        one and two layers, 9 and 50 tags).
        """
        units = _TRAINED_PER_UNIT * self.layers * self.n_branches * self.units
        inputs = _TRAINED_PER_INPUT * self.input_dim(sizes)
        tags = (_TRAINED_PER_CRF_TAG if self.has_crf else _TRAINED_PER_TAG) * sizes.n_tags
        return _FLOAT_BYTES * (units + inputs + tags)


def _lstm_shapes(prefix: str, width: int, units: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of one branch; each has the four gates side by side."""
    shapes = {"kernel": (width, 4 * units), "recurrent_kernel": (units, 4 * units), "bias": (4 * units,)}
    return {f"{prefix}.{name}": shape for name, shape in shapes.items()}


_FLOAT_BYTES = 4
# The numbers that training holds at once for each step. For each unit of a branch, they are seven outputs of the
# kernel, their gradients, the dropout and the merged output.
_TRAINED_PER_UNIT = 12
_TRAINED_PER_INPUT, _TRAINED_PER_TAG, _TRAINED_PER_CRF_TAG = 4, 6, 18


@functools.cache
def _fields() -> Mapping[str, Any]:
    """Return the settings by name, each with its type, whose metadata holds the allowed values."""
    return get_type_hints(NetworkSpec, include_extras=True)


def _shown(value: object) -> str:
    """Return a value for a message, as JSON writes it."""
    try:
        return shortened(json.dumps(value))
    except (TypeError, ValueError):
        return shortened(repr(value))
