"""The manifest of a model: everything that prediction needs to know, as plain JSON, with every value checked."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Self

from tagger.architecture import Decoder, NetworkSpec
from tagger.corpus.labels import Labels
from tagger.corpus.layout import BLANKS, Layout
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import NO_SCHEME, SCHEME_NAMES, SCHEMES
from tagger.errors import ModelError, TaggerError, shortened
from tagger.inputs.clusters import MOST_BITS
from tagger.inputs.computed import MOST_LISTS, FeatureSpec, is_feature_name
from tagger.inputs.subwords import MOST_PAIRS
from tagger.inputs.vocabulary import Normalization

FORMAT_VERSION = 3  # version 1 had no ONNX graph; networks of version 2 read nothing but tokens
# Keys that earlier versions did not have, with the values that stand for their absence.
_LATER: Mapping[str, Mapping[str, Any]] = {"notation": {"suffix": False, "unknown": None}, "features": {"subwords": 0}}
# Keys of `layout` that models of earlier versions lack. They then have the defaults of `Layout`.
LATER_KEYS = frozenset(("header", "index_column", "tag_key", "several_tags", "token_prefix", "ragged"))
_SIGNATURE = re.compile(rb'^ "sha256": "([0-9a-f]{64})",\n', re.MULTILINE)  # `test` and `versions` come after it
_MOST_POINTS = 100  # of a curve
_LARGEST = 1 << 20  # a larger number, such as of a column, is a mistake or an attack
_LONGEST = 100  # characters of a name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """The calibration of a model's probabilities, fitted on the dev set.

    Attributes:
        temperature: what logits are divided by before they become probabilities.
        curve: points (probability of a span with the temperature, precision), in order, between which the precision is
            interpolated; empty if there were too few spans.
        error_before, error_after: the expected calibration error of the spans of dev without and with all of this.
        n_spans: the number of predicted spans that it was fitted on.
    """

    temperature: float
    curve: tuple[tuple[float, float], ...]
    error_before: float
    error_after: float
    n_spans: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantization:
    """The quantization of a model's graph, whose other weights stay 32-bit numbers in `weights.safetensors`.

    Attributes:
        weights: the type of the weights of the branches in the graph; `int8` is the only one.
        score_before, score_after: the F1 on dev with 32-bit weights and with these (accuracy if the tags are plain);
            None if it was not measured.
    """

    weights: str
    score_before: float | None = None
    score_after: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that prediction needs to know about a model.

    Attributes:
        layout, notation: the layout and the notation of the training file.
        scheme: the scheme of the network, `none` for plain tags.
        normalization: the changes made to a token before it is looked up.
        n_trained_tokens: the number of tokens from the training data, or None without pretrained vectors.
        embedding_dtype: the type of the numbers in `embeddings.bin`.
        network: the architecture. In the file, `decoder` is a key beside `network`, as it was before `NetworkSpec`
            existed.
        max_length: the number of tokens that the network sees at once.
        seed: the seed of the training.
        dev: epoch, precision, recall, f1 and accuracy of the saved weights on the dev set.
        test: the config's test file, or a list of files, relative to the model directory; or None.
        versions: the versions of the packages that made the model.
        language: the language of the training data, as in `en`, or None if the config does not name it.
        origin: the config and the data that the model was trained with, by key; empty in older models.
        labels: the rules that changed the labels of the training data, and change those of gold files.
        conversion: the settings of the config for files of other formats, by key.
        calibration: the temperature of the probabilities; None if none was fitted, and in older models.
        quantization: how the weights in the graph were quantized; None if they are 32-bit numbers.
        features: the features that are computed from tokens; none in older models.
        thresholds: entity type → the lowest probability of its spans that `tagger predict` shows, or None for none of
            them; the name of the other types is empty.
    """

    layout: Layout
    notation: Notation
    scheme: str
    normalization: Normalization
    n_trained_tokens: int | None
    embedding_dtype: str
    network: NetworkSpec
    max_length: int
    seed: int
    dev: Mapping[str, float]
    test: str | list[str] | None
    versions: Mapping[str, str]
    language: str | None = None
    origin: Mapping[str, str] = dataclasses.field(default_factory=dict)
    labels: Labels = dataclasses.field(default_factory=Labels)
    conversion: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    calibration: Calibration | None = None
    quantization: Quantization | None = None
    thresholds: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    features: FeatureSpec = dataclasses.field(default_factory=FeatureSpec)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of all feature columns of the network: those of the file, then the computed ones."""
        return (*self.layout.feature_names, *self.features.names)

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as plain values."""
        values: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            values[field.name] = _plain(value) if dataclasses.is_dataclass(value) else _plain_item(value)
        values["network"] = self.network.to_json()
        values["decoder"] = values["network"].pop("decoder")
        for section, later in _LATER.items():  # so that older versions can read the manifest
            for name in [name for name, absent in later.items() if values[section][name] == absent]:
                del values[section][name]
        for name in ("labels", "conversion", "quantization", "features"):
            if not getattr(self, name):
                del values[name]
        # The file has used this name since the first version.
        values["normalization"]["digits"] = values["normalization"].pop("normalize_digits")
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build a manifest from the values of `to_json`.

        Raises:
            ModelError: a value is not allowed; the message names the key, what was found and what was expected.
        """
        values = {
            "origin": {},
            "labels": {"map": {}, "keep": None},
            "conversion": {},
            "language": None,
            "calibration": None,
            "quantization": None,
            "thresholds": {},
            "features": {"lists": [], "ignore_case": False, "cluster_bits": []},
            **values,
        }
        for section, later in _LATER.items():
            if type(values.get(section)) is dict:
                values = {**values, section: {**later, **values[section]}}
        for key, (fits, expected) in _EXPECTED.items():
            _check(values, key, fits, expected)
        for key in LATER_KEYS & set(values["layout"]):
            _check(values, f"layout.{key}", *_EXPECTED_LATER[key])
        calibration = values["calibration"]
        for key in _EXPECTED_OF_CALIBRATION if calibration is not None else ():
            _check(values, f"calibration.{key}", *_EXPECTED_OF_CALIBRATION[key])
        quantization = values["quantization"]
        for key in _EXPECTED_OF_QUANTIZATION if quantization is not None else ():
            _check(values, f"quantization.{key}", *_EXPECTED_OF_QUANTIZATION[key])
        if values["notation"]["bare"] and values["notation"]["scheme"] != "IO":
            raise ModelError(
                f"notation.bare: found true with scheme {values['notation']['scheme']}, expected false: only tags in IO"
                " can lack a prefix"
            )
        if (values["notation"]["scheme"] == NO_SCHEME) != (values["scheme"] == NO_SCHEME):
            raise ModelError(
                f"scheme: found {values['scheme']} and notation.scheme {values['notation']['scheme']}, expected both to"
                f" be {NO_SCHEME} or neither"
            )
        try:
            network = NetworkSpec.from_json({**values["network"], "decoder": values["decoder"]})
        except ValueError as error:
            raise ModelError(f"network.{error}") from None
        normalization = values["normalization"]
        unknown = set(normalization) - {"lowercase", "digits"}
        if unknown:
            raise ModelError(
                f"normalization: found the unknown key {shortened(json.dumps(min(unknown)))}, expected lowercase and"
                " digits"
            )
        try:
            sets = {
                "known_tags": frozenset(values["layout"]["known_tags"]),
                "header": tuple(values["layout"].get("header", ())),
            }
            layout = Layout(**{**values["layout"], **sets})
            parts = {
                "layout": layout,
                "notation": Notation(**values["notation"]),
                "labels": _labels_from(values["labels"]),
                "features": FeatureSpec(
                    tuple(values["features"]["lists"]),
                    values["features"]["ignore_case"],
                    tuple(values["features"]["cluster_bits"]),
                    values["features"]["subwords"],
                ),
                "normalization": Normalization(normalization["lowercase"], normalization["digits"]),
                "calibration": None
                if calibration is None
                else Calibration(**{**calibration, "curve": tuple(map(tuple, calibration["curve"]))}),
                "quantization": None if quantization is None else Quantization(**quantization),
            }
        except TypeError as error:
            raise ModelError(f"an unknown key: {error}") from None
        except TaggerError as error:
            raise ModelError(f"layout.{error.message}") from None
        check_written_delimiter(layout)
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**({name: values[name] for name in names} | parts | {"network": network}))


def _labels_from(values: Mapping[str, Any]) -> Labels:
    try:
        return Labels(map=values["map"], keep=None if values["keep"] is None else tuple(values["keep"]))
    except TaggerError as error:
        raise ModelError(f"labels.{error.message}") from None


def check_written_delimiter(layout: Layout) -> None:
    """Raise ModelError unless the delimiter of added columns is one that training would have stored."""
    if layout.written_delimiter not in ("\t", " ", layout.separator):
        raise ModelError(
            f"layout.written_delimiter: found {_show(layout.written_delimiter)}, expected a TAB, a space or"
            " layout.delimiter"
        )


def dump_manifest(values: Mapping[str, Any]) -> bytes:
    """Return the bytes of a manifest; manifests must not be written in any other way.

    The key `sha256` is added. It is the hash of all other keys, written in the same way.
    """
    signed = {**values, "sha256": hashlib.sha256(_canonical(values)).hexdigest()}
    return _canonical(signed)


def is_unaltered(content: bytes) -> bool:
    """Return whether the bytes of a manifest are exactly as `dump_manifest` wrote them."""
    line = _SIGNATURE.search(content)
    if line is None:
        return False
    rest = content[: line.start()] + content[line.end() :]
    return hashlib.sha256(rest).hexdigest().encode() == line[1]


def _canonical(values: Mapping[str, Any]) -> bytes:
    # surrogatepass: reading refuses a lone surrogate, with a message that names the key
    return (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def _plain(value: Any) -> dict[str, Any]:
    return {field.name: _plain_item(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _plain_item(item: Any) -> Any:
    if isinstance(item, Mapping):
        return dict(item)
    return sorted(item) if isinstance(item, frozenset) else list(item) if isinstance(item, tuple) else item


# --- The values that a manifest may hold ------------------------------------------------------------------------------

_Fits = Callable[[Any], bool]


def _one_of(*allowed: object) -> tuple[_Fits, str]:
    # The type counts too, because True == 1 in Python.
    return lambda value: any(value is a or (type(value) is type(a) and value == a) for a in allowed), (
        "one of " + ", ".join(map(str, allowed))
    )


def _whole(least: int, most: int = _LARGEST) -> tuple[_Fits, str]:
    return lambda value: type(value) is int and least <= value <= most, f"a whole number from {least} to {most}"


def _is_text(value: Any) -> bool:
    return type(value) is str and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_mapping(fits: _Fits) -> _Fits:
    return lambda value: type(value) is dict and all(_is_text(key) and fits(item) for key, item in value.items())


def _is_texts(value: Any) -> bool:
    return type(value) is list and value != [] and all(map(_is_text, value))


def _is_list_name(value: Any) -> bool:
    return _is_text(value) and is_feature_name(value)


# How a setting in `conversion` must be; whoever reads files says what else is wrong with it.
_CONVERSION: Mapping[str, _Fits] = {
    **dict.fromkeys(("format", "delimiter", "encoding"), _is_text),
    "scheme": _one_of("auto", *SCHEME_NAMES)[0],
    "columns": _is_mapping(lambda item: _is_text(item) or (type(item) is int and abs(item) < _LARGEST)),
    "names": _is_texts,
    "offsets": _one_of("characters", "utf-16", "bytes")[0],
    "align": _one_of("error", "expand", "contract", "split", "drop")[0],
    "overlap": _one_of("error", "longest", "first", "outer", "inner")[0],
}


def _is_curve(value: Any) -> bool:
    if type(value) is not list or len(value) > _MOST_POINTS or any(type(one) is not list for one in value):
        return False
    if any(len(one) != 2 or not all(type(x) is float and 0 <= x <= 1 for x in one) for one in value):
        return False
    return all(a[0] < b[0] and a[1] <= b[1] for a, b in itertools.pairwise(value))


_TEXT: tuple[_Fits, str] = (_is_text, "text")
_TEXT_OR_NULL: tuple[_Fits, str] = (lambda value: value is None or _is_text(value), "text or null")
_BOOL: tuple[_Fits, str] = (lambda value: type(value) is bool, "true or false")
_FRACTION: tuple[_Fits, str] = (lambda value: type(value) is float and 0 <= value <= 1, "a number from 0 to 1")
_PREFIX_LETTERS = set("BIESLUMbieslum")
_EXPECTED: Mapping[str, tuple[_Fits, str]] = {
    "layout.columns": (
        _is_mapping(lambda item: type(item) is int and abs(item) < _LARGEST),
        "names with numbers",
    ),
    "layout.delimiter": _TEXT,
    "layout.comments": _TEXT_OR_NULL,
    "layout.encoding": (lambda value: _is_text(value) and len(value) <= _LONGEST, "the name of an encoding"),
    "layout.n_columns": (
        lambda value: value is None or (type(value) is int and 1 <= value <= _LARGEST),
        "a whole number or null",
    ),
    "layout.known_tags": (lambda value: type(value) is list and all(map(_is_text, value)), "a list of tags"),
    "layout.written_delimiter": _TEXT,
    "notation.scheme": _one_of(*SCHEME_NAMES),
    "notation.outside": (
        lambda value: _is_text(value) and value.strip(BLANKS) == value != "" and not set(value) & {"\n", "\r"},
        "a word for outside",
    ),
    "notation.separator": _one_of("-", "_", "."),
    "notation.prefixes": (
        _is_mapping(lambda item: type(item) is str and len(item) == 1 and item in _PREFIX_LETTERS),
        "letters of prefixes",
    ),
    "notation.typed": _BOOL,
    "notation.bare": _BOOL,
    "notation.suffix": _BOOL,
    "notation.unknown": _TEXT_OR_NULL,
    "scheme": _one_of(*SCHEMES, NO_SCHEME),
    "normalization.lowercase": _BOOL,
    "normalization.digits": _BOOL,
    "n_trained_tokens": (
        lambda value: value is None or (type(value) is int and 0 <= value <= 1 << 30),
        "a whole number or null",
    ),
    "embedding_dtype": _one_of("float32", "float16"),
    "network": (lambda value: type(value) is dict, "a mapping"),
    "decoder": _one_of(*map(str, Decoder)),
    "max_length": _whole(1),
    "seed": _whole(0, 1 << 31),
    "dev": (_is_mapping(lambda item: type(item) in (int, float)), "names with numbers"),
    "test": (
        lambda value: value is None or _is_text(value) or _is_texts(value),
        "text, a list of texts, or null",
    ),
    "language": _TEXT_OR_NULL,
    "versions": (_is_mapping(_is_text), "names with versions"),
    "origin": (_is_mapping(_is_text), "names with text"),
    "labels.map": (_is_mapping(_is_text), "names with names"),
    "labels.keep": (lambda value: value is None or _is_texts(value), "a list of types, or null"),
    "features.lists": (
        lambda value: (
            type(value) is list and all(map(_is_list_name, value)) and len(set(value)) == len(value) <= MOST_LISTS
        ),
        f"at most {MOST_LISTS} different names",
    ),
    "features.ignore_case": _BOOL,
    "features.cluster_bits": (
        lambda value: (
            type(value) is list
            and all(type(one) is int and 1 <= one <= MOST_BITS for one in value)
            and sorted(set(value)) == value
        ),
        f"different numbers from 1 to {MOST_BITS} in order",
    ),
    "features.subwords": _whole(0, MOST_PAIRS),
    "conversion": (
        lambda value: (
            type(value) is dict and all(name in _CONVERSION and _CONVERSION[name](item) for name, item in value.items())
        ),
        "settings for reading other formats",
    ),
    "thresholds": (
        _is_mapping(lambda item: item is None or (type(item) is float and 0 <= item <= 1)),
        "names with numbers from 0 to 1, or null",
    ),
    "calibration": (lambda value: value is None or type(value) is dict, "a mapping or null"),
    "quantization": (lambda value: value is None or type(value) is dict, "a mapping or null"),
}
_EXPECTED_OF_CALIBRATION: Mapping[str, tuple[_Fits, str]] = {
    "temperature": (lambda value: type(value) is float and 1e-3 <= value <= 1e3, "a number from 0.001 to 1000"),
    "curve": (_is_curve, "pairs of numbers from 0 to 1, both in order"),
    "error_before": _FRACTION,
    "error_after": _FRACTION,
    "n_spans": _whole(1),
}
_FRACTION_OR_NULL: tuple[_Fits, str] = (
    lambda value: value is None or _FRACTION[0](value),
    "a number from 0 to 1, or null",
)
_EXPECTED_OF_QUANTIZATION: Mapping[str, tuple[_Fits, str]] = {
    "weights": _one_of("int8"),
    "score_before": _FRACTION_OR_NULL,
    "score_after": _FRACTION_OR_NULL,
}
_EXPECTED_LATER: Mapping[str, tuple[_Fits, str]] = {
    "header": (lambda value: type(value) is list and all(map(_is_text, value)), "a list of names"),
    "index_column": (
        lambda value: value is None or (type(value) is int and 0 <= value < _LARGEST),
        "a whole number or null",
    ),
    "tag_key": _TEXT_OR_NULL,
    "several_tags": _one_of(None, "first", "last"),
    "token_prefix": _TEXT,
    "ragged": _BOOL,
}


def _check(values: Mapping[str, Any], key: str, fits: _Fits, expected: str) -> None:
    section, _, name = key.partition(".")
    found = values.get(section, ...)
    if name:
        if type(found) is not dict:
            raise ModelError(f"{section}: found {_show(found)}, expected a mapping")
        found = found.get(name, ...)
    if found is ... or not fits(found):
        raise ModelError(f"{key}: found {_show(found)}, expected {expected}")


def _show(value: object) -> str:
    return "nothing" if value is ... else json.dumps(value)[:80]
