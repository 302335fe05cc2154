"""The model that a training begins with (`--init-from`), and whether a config and data fit it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tagger.architecture import Characters, Decoder
from tagger.atomic import previous_of
from tagger.config.file import yaml_value
from tagger.config.keys import Config
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, UNKNOWN, split_tag
from tagger.errors import ConfigError, DataError, ModelError
from tagger.filesystem import relative_path
from tagger.inputs.computed import FeatureSpec
from tagger.inputs.encoder import Encoder
from tagger.inputs.vocabulary import TagVocabulary
from tagger.model_dir.files import ModelFiles
from tagger.model_dir.manifest import Manifest
from tagger.model_dir.store import Model, Weights, load_model, read_weights
from tagger.prediction.onnx_session import OnnxSession, open_session
from tagger.training.init_from import InitFrom
from tagger.training.replacing import Replacing
from tagger.wording import listed

OPTION = "--init-from"


@dataclasses.dataclass(frozen=True)
class OldModel:
    """A model whose weights a training begins with.

    Attributes:
        model: the model with its weights.
        session: computes its logits.
        checksum: SHA-256 of its manifest, and so of all its files.
        replay: as in `InitFrom`.
    """

    model: Model[Weights]
    session: OnnxSession
    checksum: str
    replay: str | None = None

    @property
    def types(self) -> frozenset[str]:
        """The entity types that it knows; with plain tags, the tags."""
        return types_of(self.model.tags.tags, self.model.manifest.scheme)


def types_of(tags: Collection[str], scheme: str) -> frozenset[str]:
    """Return the entity types of canonical tags; with plain tags, the tags themselves."""
    if scheme == NO_SCHEME:
        return frozenset(tags) - {UNKNOWN}
    return frozenset(split_tag(tag)[1] for tag in tags if tag not in (OUTSIDE, UNKNOWN))


def load_old_model(init: InitFrom, model_dir: Path, expected: str | None = None) -> OldModel:
    """Load the model that a training begins with.

    If it is the model that the training replaces, an interrupted training may have put it aside.

    Args:
        model_dir: the directory that the training writes.
        expected: the checksum of the model that an interrupted training began with.

    Raises:
        ModelError: there is no such model, or it is damaged.
    """
    own, found = model_dir.resolve(), list[OldModel]()
    places = [init.directory]
    if expected is not None and init.directory.resolve() == own:
        places.append(previous_of(own))
    problem: ModelError | None = None
    for place in places:
        try:
            found.append(_load(place, init.replay))
        except ModelError as error:
            problem = problem or error
    if problem is not None and not found:
        message = problem.message.replace("with --model", f"with {OPTION}")  # models are loaded for other commands too
        raise ModelError(f"{OPTION}: {message}", detail=problem.detail)
    return next((old for old in found if old.checksum == expected), found[0])


def rules_of(init: InitFrom, model_dir: Path, rules: Replacing | None) -> Replacing:
    """Return the rules for the model in the directory, which may be the one that the training begins with.

    Raises:
        ConfigError: the old model would be lost, so that an interrupted training could not always be continued.
    """
    rules = rules or Replacing()
    if init.directory.resolve() != model_dir.resolve():
        return rules
    if not rules.keep_previous:
        raise ConfigError(
            f"--no-keep-previous: found it with {OPTION} {relative_path(init.directory)}, which the training"
            " replaces, expected the model to be kept, because --resume needs it; leave the option out"
        )
    return dataclasses.replace(rules, force=True)  # whoever continues a model wants to replace it


def _load(directory: Path, replay: str | None) -> OldModel:
    def open_both(
        files: ModelFiles, manifest: Manifest, encoder: Encoder, tags: TagVocabulary
    ) -> tuple[Weights, OnnxSession, str]:
        session = open_session(files, manifest, encoder, tags, device="cpu")
        return read_weights(files, manifest, encoder, tags), session, files.manifest()["sha256"]

    model = load_model(directory, open_both)
    weights, session, checksum = model.network
    return OldModel(
        Model(model.directory, model.manifest, model.encoder, model.tags, weights), session, checksum, replay
    )


def with_settings_of(old: OldModel, config: Config) -> tuple[Config, list[str]]:
    """Return the config with the settings of the network that it does not set itself taken from the old model.

    Returns:
        The config, and the settings whose values differ from their defaults for that reason, as `key value`.

    Raises:
        ConfigError: the labels are to be smoothed, and the old model has a CRF.
    """
    changed: dict[str, Any] = {}
    told = []
    for section, values in _settings(old.model.manifest).items():
        ours = getattr(config, section)
        given = dict(ours) | config.chosen.get(section, {})
        taken = {name: value for name, value in values.items() if not ours.sets(name)}
        told += [f"{section}.{name} {yaml_value(value)}" for name, value in taken.items() if given[name] != value]
        changed[section] = ours.model_copy(update=taken)
    config = config.model_copy(update=changed)
    if config.training.label_smoothing and config.model.decoder == Decoder.CRF:
        raise ConfigError(
            f"training.label_smoothing: found {config.training.label_smoothing}, expected 0, because the model of"
            f" {OPTION} has a CRF, which scores whole sequences; delete the key"
        )
    return config, told


def _settings(manifest: Manifest) -> dict[str, dict[str, Any]]:
    network = {name: getattr(manifest.network, name) for name in manifest.network.to_json()}
    scheme = {} if manifest.scheme == NO_SCHEME else {"scheme": manifest.scheme}
    features: dict[str, Any] = {"subwords": manifest.features.subwords}
    if manifest.features.lists:
        features["ignore_case"] = manifest.features.ignore_case
    if manifest.features.cluster_bits:
        features["cluster_bits"] = list(manifest.features.cluster_bits)
    return {
        "model": network | scheme,
        "vocabulary": dataclasses.asdict(manifest.normalization),
        "features": features,
    }


def check_fits(old: OldModel, manifest: Manifest, vectors_dim: int | None, train_types: Mapping[str, str]) -> None:
    """Check that the weights of the old model fit the network of a new one.

    Args:
        manifest: that of the new model.
        vectors_dim: the size of pretrained vectors, if the config names some.
        train_types: each type in the new training data that the old model does not know, with the place of its first
            token.

    Raises:
        ConfigError: settings differ; the error lists each of them.
        DataError: a type differs from one of the old model only in its spelling.
    """
    problems = list(_misfits(old.model.manifest, manifest, vectors_dim))
    if problems:
        name = relative_path(old.model.directory)
        raise ConfigError(f"{OPTION} {name}: {problems[0]}", detail=problems[1:])
    folded = {_folded(known): known for known in sorted(old.types)}
    for name, place in train_types.items():
        known = folded.get(_folded(name))
        if known is not None and manifest.scheme != NO_SCHEME:
            raise DataError(
                f"{place}: found the type {name}, expected {known} as in the model of {OPTION}; rename it with"
                f" data.labels.map: {{{name}: {known}}}, or set data.trust to true to learn it as another type"
            )


def _folded(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum()) or name


def _misfits(old: Manifest, new: Manifest, vectors_dim: int | None) -> Iterator[str]:
    """Yield what differs between two manifests so that the weights of one do not fit the other."""
    if (old.scheme == NO_SCHEME) != (new.scheme == NO_SCHEME):
        kinds = {True: "plain tags", False: "spans"}
        found, expected = kinds[new.scheme == NO_SCHEME], kinds[old.scheme == NO_SCHEME]
        yield f"data.scheme: found {found} in the training file, expected {expected} as in the model; use other data"
    elif old.scheme != new.scheme:
        yield _misfit("model.scheme", new.scheme, old.scheme)
    if old.notation.typed != new.notation.typed and NO_SCHEME not in (old.scheme, new.scheme):
        kinds = {True: "types, as in B-PER", False: "no types, as in B"}
        yield (
            f"data.train: found tags with {kinds[new.notation.typed]}, expected {kinds[old.notation.typed]}, as in the"
            " model; convert the file"
        )
    features = old.layout.feature_names, new.layout.feature_names
    if features[0] != features[1]:
        found, expected = (listed(names) if names else "none" for names in (features[1], features[0]))
        yield (
            f"data.columns: found the feature columns {found}, expected {expected}; set data.columns to columns with"
            " these names, in this order"
        )
    yield from _misfits_of_features(old.features, new.features)
    for name in ("lowercase", "normalize_digits"):
        if (found := getattr(new.normalization, name)) != (expected := getattr(old.normalization, name)):
            yield _misfit(f"vocabulary.{name}", found, expected)
    for name in _shape_settings(old, new):
        if (found := getattr(new.network, name)) != (expected := getattr(old.network, name)):
            yield _misfit(f"model.{name}", found, expected)
    if old.network.has_crf != new.network.has_crf:
        yield _misfit("model.decoder", new.network.decoder, old.network.decoder)
    if vectors_dim is not None and vectors_dim != old.network.embedding_dim:
        yield (
            f"embeddings: found vectors of {vectors_dim} numbers, expected {old.network.embedding_dim} as in the model;"
            " use others, or none: the tokens of the model keep their vectors"
        )


def _misfits_of_features(old: FeatureSpec, new: FeatureSpec) -> Iterator[str]:
    """Yield what differs between the computed features of two models; what a config leaves out is the same."""
    if old.lists != new.lists:
        found, expected = (listed(names) if names else "none" for names in (new.lists, old.lists))
        yield (
            f"features.lists: found the lists {found}, expected {expected} as in the model; delete the key, or name the"
            " same lists in this order; their phrases may be others"
        )
    elif old.ignore_case != new.ignore_case:
        yield _misfit("features.ignore_case", new.ignore_case, old.ignore_case)
    if old.cluster_bits != new.cluster_bits:
        found, expected = (", ".join(map(str, bits)) or "none" for bits in (new.cluster_bits, old.cluster_bits))
        yield (
            f"features.cluster_bits: found {found}, expected {expected} as in the model; delete the keys of clusters,"
            " or use these bits"
        )
    if old.subwords != new.subwords:
        yield _misfit("features.subwords", new.subwords, old.subwords)


def _shape_settings(old: Manifest, new: Manifest) -> Sequence[str]:
    """Return the settings of a network that decide the shapes of weights or what they mean."""
    names = ["embedding_dim", "characters", "casing", "units", "layers", "direction", "merge"]
    if Characters.NONE not in (old.network.characters, new.network.characters):
        names += ["character_dim", "character_units"]
    if old.feature_names:
        names.append("feature_dim")
    return names


def _misfit(key: str, found: object, expected: object) -> str:
    shown = [str(value).lower() if isinstance(value, bool) else value for value in (found, expected)]
    return f"{key}: found {shown[0]}, expected {shown[1]} as in the model; set {key} to {shown[1]}, or delete the key"
