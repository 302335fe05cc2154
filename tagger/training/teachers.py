"""The models that a distillation learns from, and the text without tags that it learns on as well.

The student learns the mean of the teachers' distributions at each token: see `network.losses`. The probabilities are
computed once, before the training.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagger.corpus.dataset import Corpus, Piece
from tagger.corpus.partial import Allowed, SoftTargets, is_possible
from tagger.corpus.schemes import NO_SCHEME
from tagger.errors import ConfigError, DataError, ModelError
from tagger.filesystem import relative_path
from tagger.inputs.encoder import Columns, Encoder
from tagger.inputs.vocabulary import Ids, TagVocabulary
from tagger.machine import available_cores, available_memory
from tagger.model_dir.files import MANIFEST, ModelFiles
from tagger.model_dir.manifest import Manifest
from tagger.model_dir.store import Model, load_model
from tagger.prediction.ensemble import Ensemble, check_agree
from tagger.prediction.onnx_session import OnnxSession, open_session
from tagger.prediction.predictor import Predictor
from tagger.wording import counted, listed

TEACHERS, UNLABELLED = "--teachers", "--unlabelled"
_MOST_SHOWN = 5  # tags that an error names
_COPIES = 2  # of the probabilities of all tokens: those of each sentence, and all of them in one array


@dataclasses.dataclass(frozen=True, eq=False)
class Teachers:
    """Models with the same tags, whose mean a student learns.

    Attributes:
        members: the predictors of the models.
        checksums: SHA-256 of the manifest of each, and so of all its files.
    """

    members: Sequence[Predictor]
    checksums: Sequence[str]

    @property
    def manifest(self) -> Manifest:
        """That of the first one."""
        return self.members[0].model.manifest

    @property
    def tags(self) -> TagVocabulary:
        """The tags of all of them, in the order of the first one."""
        return self.members[0].model.tags

    def probabilities(self, sentences: Sequence[Columns], temperature: float) -> list[npt.NDArray[np.float32]]:
        """Return the mean of their distributions at each token of each sentence, [T_i, K]."""
        ensemble = Ensemble(self.members, temperature=temperature, threads=available_cores())
        return ensemble.probabilities(sentences)

    def check_apart(self, model_dir: Path) -> None:
        """Raise ConfigError if the student would replace one of them, which --resume needs."""
        for member in self.members:
            if member.model.directory.resolve() == model_dir.resolve():
                raise ConfigError(
                    f"--model: found {model_dir}, which is a teacher, expected another directory: the teachers are"
                    " needed until the training ends; choose another"
                )

    def check_fits(self, manifest: Manifest, tags: Iterable[str], train: Corpus) -> None:
        """Check that a student can learn from them.

        Args:
            manifest: that of the student.
            tags: the tags of its training data, in the scheme that it learns.
            train: these data, for messages.

        Raises:
            ConfigError: the student has another scheme or other feature columns.
            DataError: the training data have other tags.
        """
        name = relative_path(self.members[0].model.directory)
        ours, theirs = manifest.scheme, self.manifest.scheme
        if ours != theirs:
            remedy = f"set model.scheme to {theirs}" if NO_SCHEME not in (ours, theirs) else "use data of one kind"
            raise ConfigError(f"model.scheme: found {ours}, expected {theirs}, as in the teacher {name}; {remedy}")
        names = manifest.layout.feature_names, self.manifest.layout.feature_names
        if names[0] != names[1]:
            found, expected = (listed(one) if one else "none" for one in names)
            raise ConfigError(
                f"data.columns: found the feature columns {found}, expected {expected}, as in the teacher {name}; name"
                " the same columns"
            )
        unknown = sorted(set(tags) - set(self.tags.tags))
        if unknown:
            more = f" and {len(unknown) - _MOST_SHOWN} more" if len(unknown) > _MOST_SHOWN else ""
            raise DataError(
                f"{train.path}: found tags that the teacher {name} does not know, expected its own:"
                f" {', '.join(unknown[:_MOST_SHOWN])}{more}; train the teachers on data with all types"
            )

    def check_possible(self, pieces: Sequence[Piece], allowed: Sequence[Sequence[Allowed]]) -> None:
        """Check that sentences that are annotated in part may have a legal sequence of the teachers' tags.

        Args:
            pieces: the sentences.
            allowed: the tags that each of their tokens may have.

        Raises:
            DataError: a sentence has no such sequence, so that its probability would be 0 whatever the student learns.
        """
        known = frozenset(self.tags.tags)
        for piece, tags in zip(pieces, allowed, strict=True):
            if not is_possible([known if one is None else one & known for one in tags], self.manifest.scheme):
                name = relative_path(self.members[0].model.directory)
                raise DataError(
                    "found a sentence whose annotation agrees with no legal sequence of the tags that the teacher"
                    f" {name} knows, expected one; complete its tags, or train the teachers on these data",
                    path=piece.path,
                    line=piece.line,
                    detail=[f"the teacher knows {listed(self.tags.tags)}", f"the sentence has {' '.join(piece.tags)}"],
                )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """What a student learns beside the tags of the training data.

    Attributes:
        teachers: the models whose mean it learns.
        unlabelled: sentences without tags, as pieces without tags.
        gold_weight: the weight of the tags of the training data; the teachers have the rest.
        temperature: what the teachers' logits are divided by.
        ratio: the number of unlabelled sentences that an epoch has for each sentence of the training data.
    """

    teachers: Teachers
    unlabelled: Sequence[Piece] = ()
    gold_weight: float = 0.5
    temperature: float = 1.0
    ratio: float = 3.0

    def settings(self) -> dict[str, float]:
        """Return the numbers that must stay as they are for a training to continue, by option."""
        return {
            "--gold-weight": self.gold_weight,
            "--temperature": self.temperature,
            **({"--unlabelled-ratio": self.ratio} if self.unlabelled else {}),
        }

    def soft_targets(
        self, pieces: Sequence[Piece], unlabelled: Sequence[Piece], tag_ids: Sequence[Ids]
    ) -> tuple[list[Ids], SoftTargets]:
        """Return the gold ids of all sentences, which are rows of the targets, and the targets.

        Args:
            pieces: the sentences with gold tags.
            unlabelled: those without.
            tag_ids: the gold ids of `pieces`.

        Raises:
            ConfigError: what the teachers say does not fit into memory.
        """
        columns = [piece.columns for piece in (*pieces, *unlabelled)]
        _check_memory(sum(len(one[0]) for one in columns), len(self.teachers.tags))
        probabilities = np.concatenate(self.teachers.probabilities(columns, self.temperature))
        gold = np.concatenate([*tag_ids, *(np.full(len(one[0]), -1, np.int32) for one in columns[len(pieces) :])])
        ends = np.cumsum([len(one[0]) for one in columns])[:-1]
        rows = np.split(np.arange(len(gold), dtype=np.int32), ends)
        return rows, SoftTargets(probabilities, gold.astype(np.int32), self.gold_weight)


def _check_memory(n_tokens: int, n_tags: int) -> None:
    """Refuse text whose probabilities do not fit into memory, before the time that it takes to compute them."""
    needed, available = _COPIES * 4 * n_tokens * n_tags, available_memory()
    if available is not None and needed > available:
        raise ConfigError(
            f"{UNLABELLED}: what the teachers say about {counted(n_tokens, 'token')} needs {needed / 1e9:.1f} GB of"
            f" memory, expected at most the {available / 1e9:.1f} GB that is free; use less text"
        )


def load_teachers(directories: Sequence[Path]) -> Teachers:
    """Load models as teachers.

    Args:
        directories: models, or directories of models, such as those of `tagger crossval`.

    Raises:
        ModelError: a directory has no model, or the models differ in their tags.
        ConfigError: a model is named twice, or is a copy of another.
    """
    if Path() in directories:
        raise ConfigError(f"{TEACHERS}: found an empty name, expected a directory; name it")
    found = [model for directory in directories for model in _models_in(directory)]
    for i, directory in enumerate(found):
        if directory.resolve() in [other.resolve() for other in found[:i]]:
            raise ConfigError(f"{TEACHERS}: found {directory} twice, expected each model once; leave one out")
    try:
        loaded = [_load(directory) for directory in found]
    except ModelError as error:
        message = error.message.replace("with --model", f"with {TEACHERS}")  # models are loaded for other commands too
        raise ModelError(f"{TEACHERS}: {message}", detail=error.detail) from None
    members, checksums = [member for member, _ in loaded], [checksum for _, checksum in loaded]
    check_agree([member.model for member in members], TEACHERS)
    for i, checksum in enumerate(checksums):
        if checksum in checksums[:i]:
            raise ConfigError(
                f"{TEACHERS}: found the same model in {found[checksums.index(checksum)]} and {found[i]}, expected each"
                " model once, because a copy would count twice; leave one out"
            )
    return Teachers(members, checksums)


def _load(directory: Path) -> tuple[Predictor, str]:
    """Load a model with its checksum, both of the same files even if another model takes their place."""

    def open_network(
        files: ModelFiles, manifest: Manifest, encoder: Encoder, tags: TagVocabulary
    ) -> tuple[OnnxSession, str]:
        return open_session(files, manifest, encoder, tags, device="cpu"), files.manifest()["sha256"]

    model = load_model(directory, open_network)
    session, checksum = model.network
    member = Model(model.directory, model.manifest, model.encoder, model.tags, session)
    return Predictor(member, threads=available_cores()), checksum


def _models_in(directory: Path) -> list[Path]:
    """Return a model, or those in a directory of models in the order of the numbers in their names."""
    if (directory / MANIFEST).is_file() or not directory.is_dir():
        return [directory]
    inside = [path.parent for path in directory.glob(f"*/{MANIFEST}") if not path.parent.name.startswith(".")]
    if not inside:
        raise ModelError(
            f"{TEACHERS}: {directory}: found no model in it, expected a model, or a directory of models such as that of"
            " tagger crossval; name the directories of the teachers"
        )
    return sorted(inside, key=lambda path: [int(part) if part.isdigit() else part for part in _parts(path.name)])


def _parts(name: str) -> list[str]:
    """Cut a name into text and numbers, which alternate: `fold-10` is `fold-`, `10` and nothing."""
    return re.split(r"(\d+)", name)


def cut_unlabelled(pieces: Sequence[Piece], max_length: int) -> list[Piece]:
    """Cut sentences without tags that are longer than `max_length` tokens."""
    found = list[Piece]()
    for piece in pieces:
        for start in range(0, len(piece.columns[0]), max_length):
            found.append(piece._replace(columns=[column[start : start + max_length] for column in piece.columns]))
    return found
