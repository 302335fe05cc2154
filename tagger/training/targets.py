"""The gold ids of training sentences, and what they mean: tags, sets of tags, or the word of an older model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tagger.config.keys import Config
from tagger.corpus.dataset import Corpus, Piece
from tagger.corpus.labels import unknown_name
from tagger.corpus.partial import Allowed, Targets, allowed_tags, ids_of_allowed, tags_of_types, weights_of_ids
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, UNKNOWN, split_tag
from tagger.corpus.transitions import constraints_of
from tagger.errors import ConfigError, DataError
from tagger.inputs.vocabulary import Ids, TagVocabulary, build_tag_vocabulary, grow_tag_vocabulary
from tagger.training.corpora import Tell, well_formed
from tagger.training.old_model import OPTION, OldModel, types_of
from tagger.training.teacher import restricted, teacher_probabilities
from tagger.training.teachers import Lesson
from tagger.wording import listed

_OUTSIDE_ONLY: Allowed = frozenset({OUTSIDE})


@dataclasses.dataclass(frozen=True)
class Gold:
    """The annotation of the training sentences, those that are replayed after all others.

    Attributes:
        tags: the tags that the network learns.
        ids: the gold ids of each piece.
        targets: their meaning; None if each id is that of a tag, and all tags have the same weight.
        not_annotated: the types that the old model knows and the training file does not annotate.
    """

    tags: TagVocabulary
    ids: list[Ids]
    targets: Targets | None
    not_annotated: frozenset[str] = frozenset()


def gold_of(
    config: Config,
    train: Corpus,
    pieces: Sequence[Piece],
    scheme: str,
    note: Tell,
    *,
    old: OldModel | None = None,
    replay: Corpus | None = None,
    replayed: Sequence[Piece] = (),
    lesson: Lesson | None = None,
    unlabelled: Sequence[Piece] = (),
) -> Gold:
    """Return what the training sentences teach.

    Without an old model, tokens have the tags of the file, or any that is possible where they are not annotated.

    Types of the old model that `data.annotated` does not name are not annotated in the training file. There, a token
    that is `O` in the file may be of such a type, and the old model is the teacher (see `network.losses`). In sentences
    that are replayed, the types of the old model are annotated, and the others are not unless they occur. There, a
    token that is `O` in the file may have the tags of these others: no model knows more.

    Args:
        pieces: the pieces of the sentences of `train`.
        scheme: that of the network.
        replayed: those of the sentences of `replay`.
        lesson: what teachers say about all sentences, if there are any; their tags are then those of the network.
        unlabelled: the pieces of sentences without tags, which the teachers know more about.
    """
    allowed = _allowed(train, pieces, scheme)
    again = [] if replay is None else _allowed(replay, replayed, scheme)
    known = {tag for row in (*allowed, *again) for one in row if one for tag in one}
    if not known:
        raise DataError(
            f"{train.path}: found no annotated token, expected some with other tags than {train.notation.unknown};"
            " annotate some, or change data.unknown_tag"
        )
    if scheme != NO_SCHEME and (train.n_unknown or (replay is not None and replay.n_unknown)):
        # Tokens that are not annotated may begin or end a span of any type.
        known |= tags_of_types(types_of(known, scheme), scheme)
    vocabulary = build_tag_vocabulary([sorted(known)])
    if old is not None:
        vocabulary = grow_tag_vocabulary(old.model.tags, vocabulary)
    if lesson is not None:
        vocabulary = lesson.teachers.tags
        if train.n_unknown:
            lesson.teachers.check_possible(pieces, allowed)
    missing = _not_annotated(config, train, vocabulary, scheme, old, note)
    if replay is not None and old is not None:
        occurring = types_of({tag for tags in replay.tags for tag in tags}, scheme)
        again = _opened(again, vocabulary, types_of(vocabulary.tags, scheme) - old.types - occurring)
    tag_ids, of_ids = ids_of_allowed([*allowed, *again], vocabulary.tags)
    teacher = None
    if old is not None and missing:
        tag_ids, of_ids, teacher = _taught(old, pieces, tag_ids, of_ids, vocabulary, missing)
    soft = None
    if lesson is not None:
        tag_ids, soft = lesson.soft_targets(pieces, unlabelled, tag_ids)
    targets = Targets(
        allowed=of_ids if len(of_ids) > len(vocabulary) else None,
        weights=_weights(config, vocabulary, of_ids, scheme),
        rules=constraints_of(vocabulary.tags, scheme),
        teacher=teacher,
        soft=soft,
    )
    return Gold(vocabulary, tag_ids, targets if targets else None, missing)


def _allowed(corpus: Corpus, pieces: Sequence[Piece], scheme: str) -> list[list[Allowed]]:
    """Return the tags that each token may have, as far as its own annotation goes."""
    if corpus.n_unknown:
        return [allowed_tags(piece.tags, corpus.notation.scheme, scheme) for piece in pieces]
    sets: dict[str, Allowed] = {}
    return [[sets.setdefault(tag, frozenset({tag})) for tag in well_formed(piece.tags, scheme)] for piece in pieces]


def _not_annotated(
    config: Config, train: Corpus, vocabulary: TagVocabulary, scheme: str, old: OldModel | None, note: Tell
) -> frozenset[str]:
    """Return the types that the old model knows and the training file does not annotate; say which they are."""
    setting = config.data.annotated
    if old is None:
        if setting != "auto":
            shown = setting if isinstance(setting, str) else listed(setting)
            raise ConfigError(
                f"data.annotated: found {shown}, expected it with {OPTION} only; delete the key, or name a model to"
                f" begin with by {OPTION}"
            )
        return frozenset()
    types = types_of(vocabulary.tags, scheme)
    wrong = [unknown_name("data.annotated", name, types) for name in setting if name not in types]
    if wrong and not isinstance(setting, str):
        raise ConfigError(wrong[0], detail=wrong[1:])
    if setting == "all" or scheme == NO_SCHEME or OUTSIDE not in old.model.tags.tags:
        return frozenset()
    occurring = types_of({tag for tags in train.tags for tag in tags}, scheme)
    missing = old.types - occurring
    if not isinstance(setting, str):
        missing -= set(setting)
    if missing:
        note(
            f"train: the file is taken as not annotated with {listed(sorted(missing))}, which the model knows; the"
            " model itself says which tokens they are (data.annotated: all, if the file has none of them)"
        )
    return frozenset(missing)


def _opened(rows: list[list[Allowed]], vocabulary: TagVocabulary, types: Iterable[str]) -> list[list[Allowed]]:
    """Return the tags that tokens may have if `O` may be one of some types, too."""
    names = set(types)
    opened = frozenset({OUTSIDE, *(tag for tag in vocabulary.tags if split_tag(tag)[1] in names)})
    return [[opened if one == _OUTSIDE_ONLY else one for one in row] for row in rows] if len(opened) > 1 else rows


def _taught(
    old: OldModel,
    pieces: Sequence[Piece],
    tag_ids: list[Ids],
    of_ids: npt.NDArray[np.bool_],
    vocabulary: TagVocabulary,
    missing: frozenset[str],
) -> tuple[list[Ids], npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Return the gold ids with those of tokens that have a teacher, their meaning, and the word of the teacher."""
    outside = vocabulary.tags.index(OUTSIDE)
    may_be = np.array([tag == OUTSIDE or split_tag(tag)[1] in missing for tag in vocabulary.tags])
    n_old = len(old.model.tags)
    by_sentence = teacher_probabilities(old, [piece.columns for piece in pieces])
    table, result, n_rows = list[npt.NDArray[np.float32]](), list[Ids](), 1 + len(of_ids)
    for ids, probabilities in zip(tag_ids, by_sentence, strict=False):
        is_taught = ids == outside
        table.append(restricted(probabilities[is_taught], may_be[:n_old], outside))
        changed = ids.copy()
        changed[is_taught] = n_rows + np.arange(len(table[-1]), dtype=np.int32)
        n_rows += len(table[-1])
        result.append(changed)
    return [*result, *tag_ids[len(pieces) :]], np.concatenate([of_ids, may_be[None]]), np.concatenate(table)


def _weights(
    config: Config, vocabulary: TagVocabulary, of_ids: npt.NDArray[np.bool_], scheme: str
) -> npt.NDArray[np.float32] | None:
    weights = config.training.type_weights
    types = {tag if scheme == NO_SCHEME else split_tag(tag)[1] for tag in vocabulary.tags} - {"", UNKNOWN}
    unknown = [unknown_name("training.type_weights", name, types) for name in weights if name not in types]
    if unknown:
        raise ConfigError(unknown[0], detail=unknown[1:])
    return weights_of_ids(weights, of_ids, vocabulary.tags, scheme) if weights else None
