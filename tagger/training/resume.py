"""The fingerprint of a training, which must be unchanged for it to continue, and its position."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.config.keys import Config
from tagger.corpus.layout import Layout
from tagger.errors import ConfigError
from tagger.inputs.encoder import Encoder
from tagger.inputs.vocabulary import TagVocabulary, TokenVocabulary
from tagger.machine import available_cores
from tagger.model_dir.checkpoints import Checkpoints, State, directory_of
from tagger.model_dir.manifest import LATER_KEYS, Manifest
from tagger.network.devices import Device
from tagger.network.trainer import Progress, Trainer
from tagger.training.history import EpochResult
from tagger.training.old_model import OPTION
from tagger.training.preparation import Prepared
from tagger.training.settings import FREE, differences, settings_of, value_in
from tagger.training.teachers import TEACHERS

STATE_FORMAT = 3  # the version of the format; a state of another version cannot be resumed
_RECORD = {"settings": dict, "data": dict, "runs on": dict, "threads": int | None, "at": str, "finished": bool}
_EPOCHS_IN_CONFIG = "epochs in config"  # the key of a state for training.epochs as the config has it, without additions
_MODEL = "a model with SHA-256 {}"
_VERSIONS = ("tagger", "tensorflow", "numpy")
_PRETRAINING = "pretraining"  # the key for the record of a pretraining that the training begins with


def state_to_begin_with(checkpoints: Checkpoints, *, resume: bool, warn: Callable[[str], None]) -> State | None:
    """Return the newest state if it is to be resumed.

    Without `resume`, the state of a finished training is ignored. So is a state of `--seeds` that was saved before the
    first seed had learned anything.

    Raises:
        ConfigError: a training was interrupted and is not to be resumed, or cannot be resumed.
    """
    state = checkpoints.newest(warn, remove_damaged=resume)
    if state is not None and not _has_this_format(state.record):
        raise ConfigError(
            f"{checkpoints.directory}: found a training of another version of tagger, expected one of this version;"
            " resume it with that version, or delete that directory to start over"
        )
    if state is None or (state.record.get("runs") == [] and not _has_begun(state, checkpoints.model_dir)):
        return None
    if resume:
        return state
    if not state.record["finished"]:
        seeds = (
            f" (and .{checkpoints.model_dir.name}.seed-* beside it)" if "--seeds" in state.record["settings"] else ""
        )
        raise ConfigError(
            f"{checkpoints.directory}: found a training that was interrupted {state.record['at']}, expected none;"
            f" continue it with --resume, or delete that directory{seeds} to start over"
        )
    return None


def _has_begun(state: State, model_dir: Path) -> bool:
    """Return whether one of several seeds has learned anything."""
    settings = state.record["settings"]
    first, n = settings["training.seed"], settings.get("--seeds", 1)
    return any(Checkpoints(directory_of(model_dir, seed)).has_states() for seed in range(first, first + n))


def _has_this_format(record: Mapping[str, Any]) -> bool:
    return record.get("format") == STATE_FORMAT and all(
        name in record and isinstance(record[name], kind) for name, kind in _RECORD.items()
    )


def with_epochs_of(state: State | None, config: Config, more: int | None, checkpoints: Checkpoints) -> Config:
    """Return the config with the number of epochs that a continued training has in all.

    Args:
        more: the epochs that are added to a finished training; None to continue a training as it is.

    Raises:
        ConfigError: epochs are to be added, but there is no finished training with weights to continue from.
    """
    if more is None:
        # After --epochs-more, the config still has the number of epochs from before.
        same = state is not None and state.record.get(_EPOCHS_IN_CONFIG) == config.training.epochs
        return (
            with_epochs(config, state.record["settings"]["training.epochs"]) if state is not None and same else config
        )
    where = checkpoints.directory
    if state is None:
        raise ConfigError(
            f"--epochs-more: found no finished training in {where}, expected one to continue; set training.epochs"
            " instead"
        )
    if not state.record["finished"]:
        raise ConfigError(
            f"--epochs-more: found a training in {where} that was interrupted {state.record['at']}, expected a finished"
            " one; continue it with --resume first"
        )
    if "--seeds" in state.record["settings"]:
        raise ConfigError(
            f"--epochs-more: found a training with --seeds in {where}, expected one with a single seed: seeds leave no"
            " weights to continue from; train the best seed by itself (training.seed), or all with more"
            " training.epochs"
        )
    return with_epochs(config, state.record["settings"]["training.epochs"] + more)


def with_epochs(config: Config, epochs: int) -> Config:
    """Return the config with another number of epochs."""
    return config.model_copy(update={"training": config.training.model_copy(update={"epochs": epochs})})


def with_threads_of(state: State, config: Config, warn: Callable[[str], None], option: str = "--resume") -> Config:
    """Return the config with a state's number of threads, because sums are rounded differently with another number."""
    threads, now = state.record["threads"], config.training.threads or available_cores()
    if threads in (None, now):
        return config
    warn(f"{option}: training.threads: found {now}, continuing with {threads}, as in the training so far")
    return config.model_copy(update={"training": config.training.model_copy(update={"threads": threads})})


def with_choices_of(state: State, config: Config) -> Config:
    """Return the config with a state's values for what it leaves open; earlier versions had no pretraining."""
    before, training = state.record["settings"], dict[str, Any]()
    patience = before.get("training.patience", "auto")
    if config.training.patience == "auto" and patience != "auto":
        training["patience"] = patience
    if config.training.pretraining_epochs is None:
        training["pretraining_epochs"] = value_in(before, "training.pretraining_epochs")
    changed = {"training": config.training.model_copy(update=training)}
    for section, keys in config.chosen.items():
        ours = getattr(config, section)
        old = {
            key: type(value)(value_in(before, f"{section}.{key}", value))  # the state has the name of a decoder
            for key, value in keys.items()
            if not ours.sets(key)
        }
        changed[section] = ours.model_copy(update={key: value for key, value in old.items() if value != keys[key]})
    return config.model_copy(update=changed)


# --- The fingerprint --------------------------------------------------------------------------------------------------


def fingerprint_of(config: Config, prepared: Prepared, device: Device, given: Config | None = None) -> dict[str, Any]:
    """Return the fingerprint of a training: settings by key, data by the key that names it, and where it runs.

    Args:
        given: the config without the epochs that were added to it, if there are any.
    """
    runs_on = {name: prepared.manifest.versions[name] for name in _VERSIONS} | {"device": device.name}
    return {
        "format": STATE_FORMAT,
        "settings": settings_of(config, _chosen(prepared)) | _of_lesson(prepared),
        "data": _data(config, prepared),
        "runs on": runs_on,
        "threads": device.threads,
        _EPOCHS_IN_CONFIG: (given or config).training.epochs,
    }


def _layout_of_state(config: Config, layout: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layout as states of earlier versions hold it: without the keys that they did not have."""
    later = {field.name: field.default for field in dataclasses.fields(Layout) if field.name in LATER_KEYS}
    kept = {key: value for key, value in layout.items() if key not in later or value != _plain_default(later[key])}
    return {**kept, "delimiter": config.data.delimiter or "auto"}


def _plain_default(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _chosen(prepared: Prepared) -> dict[str, Any]:
    """Return the values that were chosen, so that a config that sets the same values continues the training."""
    names = ("pretraining_epochs", "epochs", "batch_size", "patience")
    numbers = {f"training.{name}": getattr(prepared.schedule, name) for name in names}
    return {**numbers, "model.decoder": prepared.manifest.network.decoder}


def _of_lesson(prepared: Prepared) -> dict[str, Any]:
    return {} if prepared.lesson is None else dict(prepared.lesson.settings())


def _data(config: Config, prepared: Prepared) -> dict[str, str]:
    encoder, training_set = prepared.encoder, prepared.training_set
    manifest = prepared.manifest.to_json()  # predictions are written as the training file is
    texts = _text_of(encoder, prepared.tags)
    texts += json.dumps([_layout_of_state(config, manifest["layout"]), manifest["notation"]], sort_keys=True)
    arrays: list[npt.NDArray[Any]] = [training_set.lengths, *training_set.sentences, *training_set.tag_ids]
    if prepared.targets is not None and prepared.targets.allowed is not None:
        arrays.append(prepared.targets.allowed)
    soft = None if prepared.targets is None else prepared.targets.soft
    if soft is not None:  # not the probabilities, whose last bits may differ elsewhere; they follow from the teachers
        arrays.append(soft.gold)
    if training_set.forms is not None:  # the id of a token does not determine its letters
        arrays += [getattr(training_set.forms, field.name) for field in dataclasses.fields(training_set.forms)]
    content = _sha256([texts.encode("utf-8", "surrogatepass"), *(np.ascontiguousarray(array) for array in arrays)])
    found = {"data.train": _described(len(arrays[0]), int(training_set.lengths.sum()), content)}
    if prepared.dev is not None:
        dev = prepared.dev
        sentences = (
            repr((sentence.columns, tags)) for sentence, tags in zip(dev.sentences, dev.tags, strict=True)
        )  # one text a sentence: where a sentence ends counts too
        content = _sha256(text.encode("utf-8", "surrogatepass") for text in sentences)
        found["data.dev"] = _described(len(dev), dev.n_tokens, content)
    if prepared.manifest.features:
        found["features"] = _features(prepared.manifest, encoder)
    if prepared.old is not None:
        found[OPTION] = _MODEL.format(prepared.old.checksum)
    if prepared.lesson is not None:
        found[TEACHERS] = ", ".join(map(_MODEL.format, prepared.lesson.teachers.checksums))
    if prepared.pretrained is not None:
        if prepared.pretrained.checksum:  # otherwise, the training data and the settings decide what it is
            found["model.pretrained"] = f"SHA-256 {prepared.pretrained.checksum}"
    elif prepared.vectors is not None:
        has_vector, dim = prepared.vectors.has_vector, prepared.vectors.table.shape[1]
        content = _sha256([has_vector, (values for _, values in prepared.vectors.blocks())])
        found["embeddings"] = f"{has_vector.sum()} vectors of size {dim}, {content}"
    return found


def _features(manifest: Manifest, encoder: Encoder) -> str:
    """Describe all that features are computed with, which decides how the model tags what training did not see."""
    lists, clusters, subwords = encoder.computed.lists, encoder.computed.clusters, encoder.computed.subwords
    texts = [f"{name}\t{phrase}\n" for name, some in (lists.phrases if lists else {}).items() for phrase in some]
    texts += [f"{word}\t{path}\n" for word, path in (clusters.paths if clusters else {}).items()]
    texts += ["\t".join(pair) + "\n" for pair in (subwords.pairs if subwords else ())]
    content = _sha256([(text.encode("utf-8", "surrogatepass") for text in texts)])
    return f"{', '.join(manifest.features.names)}, {content}"


def checksum_of_old(state: State | None) -> str | None:
    """Return the checksum of the model that an interrupted training began with, if it began with one."""
    found = None if state is None else state.record["data"].get(OPTION)
    return found.removeprefix(_MODEL.format("")) if isinstance(found, str) else None


def _text_of(encoder: Encoder, tags: TagVocabulary) -> str:
    """Return the vocabularies as text.

    States of this format hold a checksum of it, so it must stay the same whatever classes and fields are called.
    """

    def tokens_of(vocabulary: TokenVocabulary) -> str:
        lowercase, digits = vocabulary.normalization.lowercase, vocabulary.normalization.normalize_digits
        normalization = f"Normalization(lowercase={lowercase}, digits={digits})"
        return (
            f"TokenVocabulary(tokens={vocabulary.tokens!r}, normalization={normalization},"
            f" n_trained={vocabulary.n_trained})"
        )

    characters = encoder.characters and f"CharacterVocabulary(characters={encoder.characters.characters!r})"
    features = ", ".join(map(tokens_of, encoder.features)) + "," * (len(encoder.features) == 1)
    return f"({tokens_of(encoder.tokens)}, {characters}, ({features}), TagVocabulary(tags={tags.tags!r}))"


def _described(n_sentences: int, n_tokens: int, content: str) -> str:
    return f"{n_sentences} sentences, {n_tokens} tokens, {content}"


def _sha256(parts: Iterable[Any]) -> str:
    """Return the checksum of some parts: buffers of bytes, or iterators of the pieces of one."""
    digest = hashlib.sha256()
    for part in parts:
        for piece in part if isinstance(part, Iterator) else [part]:
            digest.update(piece)
        digest.update(b"\n")
    return f"SHA-256 {digest.hexdigest()[:16]}"


def check_same(before: Mapping[str, Any], now: Mapping[str, Any], where: str, *, option: str = "--resume") -> list[str]:
    """Compare the fingerprint in a state with that of the training that is to continue from it.

    Args:
        where: the directory of the state.
        option: the option with which the training continues.

    Returns:
        Differences that do not prevent resuming but may change the result: other versions, another device.

    Raises:
        ConfigError: settings or data differ; each difference is shown.
    """
    same = {key: now["settings"][key] for key in _extended(before, now["settings"])}
    settings = {key: value for key, value in {**before["settings"], **same}.items() if key not in FREE}
    found = [*differences(settings, now["settings"]), *differences(before["data"], now["data"])]
    if found:
        # Only an unfinished training prevents another one.
        again = "train again" if before.get("finished") else f"delete {where} and train again"
        raise ConfigError(f"{option}: {found[0]}; change it back, or {again} without {option}", detail=found[1:])
    return list(differences(before["runs on"], now["runs on"]))


def _extended(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys whose new values only let a training run longer, so that it comes to the same point in any case.

    Several seeds cannot be extended, because the finished ones leave no weights.
    """
    old = before["settings"]
    try:
        n_begun = before["epoch"] + bool(before["progress"]["steps"])
    except (KeyError, TypeError):
        return  # reading the state says what is wrong with it
    if "--seeds" in old or "--seeds" in now:
        return
    if now["training.epochs"] >= n_begun:
        yield "training.epochs"
    patience, patience_before = now["training.patience"], old.get("training.patience")
    if patience is None or (patience_before is not None and patience >= patience_before):
        yield "training.patience"


def checksum_of(fingerprint: Mapping[str, Any]) -> int:
    """Return a checksum below 2**32 of the settings and data that all workers must share.

    The dev set is left out, because only the chief reads it.
    """
    data = {key: value for key, value in fingerprint["data"].items() if key != "data.dev"}
    common = {key: value for key, value in fingerprint["settings"].items() if not key.startswith("data.")}
    return int(hashlib.sha256(json.dumps([data, common], sort_keys=True).encode()).hexdigest()[:8], 16)


def with_pretraining(fingerprint: Mapping[str, Any], begun: State) -> State:
    """Return the state of a training that is still in its pretraining, from the state of that."""
    at: dict[str, Any] = {"at": "in its pretraining", "history": [], "best": None, "epoch": 0, "finished": False}
    progress = dataclasses.asdict(Progress())
    return State({**fingerprint, **at, "progress": progress, _PRETRAINING: begun.record}, begun.arrays)


def pretraining_in(state: State | None) -> State | None:
    """Return the state of the pretraining in that of a training; None if the training has come further."""
    found = None if state is None else state.record.get(_PRETRAINING)
    return None if state is None or found is None else State(found, state.arrays)


# --- The position of a training ---------------------------------------------------------------------------------------


@dataclasses.dataclass
class Position:
    """The position of a training: how far it has come.

    Attributes:
        history: the finished epochs.
        best: the best of them.
        best_weights: the weights after the best epoch, by name; before the first epoch is done, the initial ones.
        epoch: the epoch that is being trained, from 0.
        progress: the progress of that epoch.
    """

    best_weights: dict[str, npt.NDArray[np.float32]]
    history: list[EpochResult] = dataclasses.field(default_factory=list)
    best: EpochResult | None = None
    epoch: int = 0
    progress: Progress = dataclasses.field(default_factory=Progress)

    def to_state(
        self, fingerprint: Mapping[str, Any], trainer: Trainer, *, n_rows: int, epochs: int, finished: bool
    ) -> State:
        """Return the position as a state.

        Args:
            n_rows: the number of rows of the embedding that training changes; the others are not stored.
            epochs: the number of epochs that the training has in all.

        Raises:
            DivergedError: a weight is not finite, so a training could not continue from this state.
        """
        record = {
            **fingerprint,
            "history": [result.to_json() for result in self.history],
            "best": self.history.index(self.best) if self.best is not None else None,
            "epoch": self.epoch,
            "at": f"in epoch {min(self.epoch + 1, epochs)}",
            "progress": dataclasses.asdict(self.progress),
            "finished": finished,
        }
        trainer.check_weights(self.epoch, self.progress)
        arrays: dict[str, npt.NDArray[Any]] = {}
        arrays |= {f"trainer.{name}": array for name, array in trainer.state(n_rows).items()}
        arrays |= {f"best.{name}": array for name, array in self.best_weights.items()}
        arrays["best.embedding"] = arrays["best.embedding"][:n_rows]
        return State(record, arrays)

    def restore(self, state: State, trainer: Trainer, *, n_rows: int) -> None:
        """Take the position from a state, and the trainer's numbers too.

        Older versions wrote states of finished trainings without numbers.

        Raises:
            ValueError, TypeError, LookupError: the state belongs to another network, or has another form.
        """
        record = state.record
        self.history = [EpochResult.from_json(values) for values in record["history"]]
        self.best = self.history[record["best"]] if record["best"] is not None else None
        self.epoch, self.progress = record["epoch"], Progress(**record["progress"])
        at = self.epoch, self.progress.steps, self.progress.tokens
        if not all(type(number) is int and number >= 0 for number in at):
            raise ValueError(f"found epoch, steps and tokens {at}, expected whole numbers")
        if record["finished"] and not state.arrays:
            return
        trainer.restore(_part_of(state.arrays, "trainer."))
        best = _part_of(state.arrays, "best.")
        if set(best) != set(self.best_weights):
            raise ValueError(
                f"found the weights of another network: {sorted(set(best) ^ set(self.best_weights))[:4]}, expected"
                " those of this one"
            )
        for name, weights in self.best_weights.items():
            place = weights[:n_rows] if name == "embedding" else weights
            if (best[name].dtype, best[name].shape) != (place.dtype, place.shape):
                raise ValueError(f"{name}: found {best[name].dtype} {best[name].shape}, expected {place.shape}")
            place[...] = best[name]
        trainer.restore_frozen(self.best_weights)


def _part_of(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
