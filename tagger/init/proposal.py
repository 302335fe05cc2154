"""The config that fits some files: read as a training reads them, with the reasons for each key."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tagger.config.keys import Config
from tagger.config.loading import config_of, with_model_dir
from tagger.corpus.encodings import encoding_of
from tagger.corpus.lines import Files, files_of
from tagger.corpus.schemes import NO_SCHEME, spans_from_tags
from tagger.errors import DataError
from tagger.init.columns_shown import columns_shown
from tagger.init.roles import Roles
from tagger.init.vectors import ENGLISH_VECTORS, vectors_for
from tagger.training.corpora import Corpora, files_in, load_corpora
from tagger.training.schedule import schedule_of
from tagger.wording import counted

Tell = Callable[[str], None]
# Keys that training asks for, the value that is right more often, and the words for the comment.
_REMEDIES = {
    "data.several_tags": ("first", "first is the outer one, as a rule; last is the inner one"),
    "data.dev": (None, "null trains on all sentences and keeps the last epoch; name a dev file if you have one"),
}
_USUAL = {"token": 0, "tag": -1}


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A config for files that have none.

    Attributes:
        name: the name of the config (NAME.yaml) and of the model (models/NAME).
        values: the keys that it sets, by section; paths are absolute.
        reasons: comments by section and key, such as `data.columns`.
        about: comments on the whole: what the files hold.
        hints: comments at the end: what else could help.
        config: the config as it is trained with.
    """

    name: str
    values: dict[str, dict[str, Any]]
    reasons: dict[str, list[str]]
    about: list[str]
    hints: list[str]
    config: Config

    @property
    def files(self) -> list[str]:
        """The paths of all files that are read."""
        return [path for files in files_in(self.config.data) for path in files_of(files)]


def propose(roles: Roles, settings: Sequence[str], note: Tell, warn: Tell, *, begins_new: bool = True) -> Proposal:
    """Read files as a training does, and return the config that fits them.

    Args:
        roles: the training files, and dev and test files.
        settings: `--set key.path=value` settings, which the config has, too.
        note, warn: called with each finding.
        begins_new: whether the training begins with new weights; a model to begin with has its own vectors.

    Raises:
        TaggerError: the files cannot be read, or look misread; the error says how to decide.
    """
    values: dict[str, Any] = {"data": _files(roles)}
    place = Path(f"{roles.name}.yaml")
    config_of(values, settings, path=place)  # puts the settings among the values
    reasons: dict[str, list[str]] = {}
    _add_encoding(values["data"], reasons)
    found = _read(values, place, reasons, note, warn)
    if not found.converted:
        _add_layout(values["data"], found, reasons)
    name, hints = vectors_for(found.train, values) if begins_new else (None, [])
    if name is not None:
        values["embeddings"] = {"name": name}
        reasons["embeddings.name"] = [ENGLISH_VECTORS]
    config = config_of(copy.deepcopy(values), path=place)
    if config.output.model_dir is None or "model_dir" not in (values.get("output") or {}):
        config = with_model_dir(config, Path("models", roles.name))
    pretrains = begins_new and config.begins_with is None
    return Proposal(roles.name, values, reasons, _about(found, config, pretrains=pretrains), hints, config)


def _files(roles: Roles) -> dict[str, Any]:
    given = {"train": roles.train, "dev": roles.dev, "test": roles.test}
    absolute = {role: [str(Path(path).absolute()) for path in paths] for role, paths in given.items()}
    return {role: paths[0] if len(paths) == 1 else paths for role, paths in absolute.items() if paths}


def _add_encoding(data: dict[str, Any], reasons: dict[str, list[str]]) -> None:
    """Set the encoding if the training file is not UTF-8."""
    if "encoding" in data:
        return
    for path in files_of(_train(data)):
        readings = encoding_of(path)
        if readings:
            data["encoding"] = readings[0].encoding
            words = [f"{reading.encoding} reads {', '.join(reading.words)}" for reading in readings]
            reasons["data.encoding"] = [f"The file is not UTF-8. Check the words: {'; '.join(words)}."]
            return


def _train(data: dict[str, Any]) -> Files:
    train: Files = data["train"]
    return train


def _read(values: dict[str, Any], place: Path, reasons: dict[str, list[str]], note: Tell, warn: Tell) -> Corpora:
    """Read the corpora, with an answer to each question that training would ask.

    Raises:
        DataError: the data look misread; the details show the columns, and how a key is set.
    """
    data = values["data"]
    while True:
        config = config_of(copy.deepcopy(values), path=place)
        said: list[tuple[Tell, str]] = []
        try:
            found = load_corpora(
                config.data,
                config.training.seed,
                lambda text, said=said: said.append((note, text)),  # type: ignore[misc]
                lambda text, said=said: said.append((warn, text)),  # type: ignore[misc]
            )
        except DataError as error:
            key = next((key for key in _REMEDIES if f"set {key}" in error.message), "")
            name = key.partition(".")[2]
            if key and name not in data:
                data[name], words = _REMEDIES[key]
                reasons[key] = [_sentence(error.message.partition("; set ")[0]), _sentence(words)]
                continue
            raise _with_help(error, config) from None
        for tell, text in said:
            tell(text)
        for key in _REMEDIES:
            for text in reasons.get(key, ()):
                warn(f"{key}: {text}")
        return found


def _with_help(error: DataError, config: Config) -> DataError:
    """Return an error with what is needed to decide: the columns of the file, and how to set a key."""
    if "data." not in error.message:
        return error
    shown = columns_shown(files_of(config.data.train)[0], config.data)
    how = "a key is set with --set, as in --set data.columns.tag=2 or --set data.trust=true"
    return DataError(error.message, detail=[*error.detail, *shown, how])


def _add_layout(data: dict[str, Any], found: Corpora, reasons: dict[str, list[str]]) -> None:
    """Set what was found about the columns, unless the file has no others than a token and its tag after it."""
    layout, given = found.layout, data.get("columns") or {}
    if dict(layout.columns) != _USUAL or (layout.n_columns or 0) > len(_USUAL):
        data["columns"] = {**layout.columns, **given}
        instead = [f"columns: {{token: {layout.columns['token']}, tag: {i}}}" for i in found.other_tags]
        reasons["data.columns"] = [*map(_sentence, found.choices), *(f"Or: {text}" for text in instead)]
    elif found.choices:
        reasons["data.train"] = [*map(_sentence, found.choices)]
    for name, value in (("tag_key", layout.tag_key), ("ragged", layout.ragged or None)):
        if value is not None and data.get(name) is None:
            data[name] = value


def _about(found: Corpora, config: Config, *, pretrains: bool) -> list[str]:
    """Return what the files hold, and how they are trained on, in a few lines."""
    corpus = found.train
    n, tokens = len(corpus), corpus.n_tokens
    lines = [f"train: {counted(n, 'sentence')}, {counted(tokens, 'token')}, scheme {found.notation.describe()}"]
    if found.notation.scheme != NO_SCHEME:
        n_spans = sum(len(spans_from_tags(tags)) for tags in corpus.tags)
        lines[0] += f", {counted(n_spans, 'entity', 'entities')}"
    if found.dev is not None:
        held_out = " held out of train" if isinstance(config.data.dev, float) else ""
        lines.append(f"dev: {counted(len(found.dev), 'sentence')}{held_out}")
    schedule = schedule_of(config.training, n, tokens if pretrains else 0)
    if schedule.pretraining_epochs:
        lines.append(
            f"pretraining: the training sentences, read as text {counted(schedule.pretraining_epochs, 'time')}"
        )
    patience = f", until {schedule.patience} bring nothing new" if schedule.patience and found.dev is not None else ""
    lines.append(f"training: batches of {schedule.batch_size} sentences, at most {schedule.epochs} epochs{patience}")
    return lines


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
