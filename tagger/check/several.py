"""Checks of several files: the training files together, and dev and test files beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tagger.check.files import (
    OPTIONS,
    CheckSettings,
    FileReport,
    Together,
    check_file,
    counts_of_tags,
    notation_of_later,
    notation_of_training,
)
from tagger.check.problems import (
    ERROR,
    WARNING,
    Problem,
)
from tagger.corpus.detection import detect_layouts
from tagger.corpus.labels import Labels
from tagger.corpus.lines import files_of
from tagger.errors import DataError
from tagger.formats.reading import CONVERTED, Readers, reading, settings_of
from tagger.wording import counted, with_options


def check_files(
    paths: Sequence[str],
    settings: Mapping[str, Any],
    *,
    as_training: bool = False,
    n_train: int = 1,
    labels: Labels | None = None,
) -> list[FileReport]:
    """Check files, and compare the later ones with the first, which is taken to be the training file.

    Args:
        paths: the files to check.
        settings: the fields of `CheckSettings`, and the settings for converting files of other formats.
        as_training: whether to read the later files in the layout and notation of the first one, as training reads dev
            and test files.
        n_train: the number of training files, which come first.
        labels: the rules for labels, which change the counts; the problems are those of the files as they are.

    Raises:
        DataError: a file cannot be opened, or a setting is unusable.
    """
    names = {field.name for field in dataclasses.fields(CheckSettings)}
    own = CheckSettings(**{name: value for name, value in settings.items() if name in names})
    labels, notes = labels or Labels(), list[str]()
    with reading(settings_of(settings, labels), notes.append, together=paths if as_training else ()) as readers:
        reports = _check_readable(paths, own, readers, as_training=as_training, n_train=n_train)
        reports = _with_labels(reports, labels, n_train)
        return [_named(report, path, readers, notes) for report, path in zip(reports, paths, strict=True)]


def _with_labels(reports: Sequence[FileReport], labels: Labels, n_train: int) -> list[FileReport]:
    """Return reports that count the labels as training learns them."""
    if not labels:
        return list(reports)
    train = [tags for report in reports[:n_train] for tags in report.tags]
    for text in reversed(labels.unknown(train, reports[0].notation.scheme)):
        reports[0].problems.insert(0, Problem(0, ERROR, text, "labels"))
    changed = []
    for report in reports:
        scheme = report.notation.scheme
        try:
            tags, notes = labels.apply(report.tags, scheme)
        except DataError as error:
            report.problems.insert(0, Problem(0, ERROR, error.message, "labels"))
            changed.append(report)
            continue
        counts = {**report.counts, **counts_of_tags(tags, scheme)}
        changed.append(dataclasses.replace(report, counts=counts, notes=[*report.notes, *notes]))
    return changed


def _named(report: FileReport, path: str, readers: Readers, notes: Sequence[str]) -> FileReport:
    """Return a report on a file that may have been converted, with the name of the original."""
    if report.path == path:
        return report
    problems = [dataclasses.replace(problem, message=readers.original(problem.message)) for problem in report.problems]
    own = [note for note in notes if note.startswith(f"{path} is ")]
    name, notes = f"{path} (as CoNLL)", [*own, *report.notes]
    return dataclasses.replace(report, path=name, problems=problems, notes=notes, is_converted=True)


def _check_readable(
    paths: Sequence[str], settings: CheckSettings, readers: Readers, *, as_training: bool, n_train: int
) -> list[FileReport]:
    readable = [readers.readable(path) for path in paths]
    files = [files_of(found.paths)[0] for found in readable]
    converted = CheckSettings(
        columns=CONVERTED.columns,
        delimiter=CONVERTED.delimiter,
        comments="none",
        language=settings.language,
        unknown_tag=settings.unknown_tag,
    )
    own = [
        converted if found.converted else dataclasses.replace(settings, columns=readers.columns(path))
        for found, path in zip(readable, paths, strict=True)
    ]
    reports = _check_training_files(files[:n_train], own[0])
    like = reports[0] if as_training else None
    for file, found, its in zip(files[n_train:], readable[n_train:], own[n_train:], strict=True):
        other = like
        if like is not None and found.converted != readable[0].converted:  # each has a layout of its own
            layout = CONVERTED if found.converted else check_file(file, its).layout
            other = dataclasses.replace(like, layout=layout)
        reports.append(check_file(file, its, like=other))
    for report in reports[n_train:]:
        for train in reports[:n_train]:
            overlap = check_overlap(train, report)
            if overlap is not None:
                report.problems.insert(0, overlap)
    return reports


def _check_training_files(paths: Sequence[str], settings: CheckSettings) -> list[FileReport]:
    """Check the files of one training set, which have one layout and one notation, as training reads them."""
    reports = [check_file(path, settings) for path in paths]
    if len(reports) == 1:
        return reports
    try:
        layout = detect_layouts(paths, dataclasses.replace(settings, encoding=reports[0].layout.encoding)).layout
    except DataError as error:
        meant = next((report for report in reports if error.message.startswith(f"{report.path}:")), reports[0])
        text = with_options(error.message.removeprefix(f"{meant.path}: "), OPTIONS)
        meant.problems.insert(0, Problem(0, ERROR, text, "layout"))
        return reports
    notation = notation_of_training(
        [sentence for report in reports for sentence in report.sentences],
        settings.scheme,
        [],
        settings.unknown_tag,
    )
    owns = [notation_of_later(report.sentences, notation) for report in reports]
    for report, own in zip(reports, owns, strict=True):
        if own != owns[0]:
            expected = f"{owns[0].describe()} as in {reports[0].path}: training files must have one notation"
            report.problems.insert(
                0, Problem(0, ERROR, f"found tags in {own.describe()}, expected {expected}", "notation")
            )
    if any(own != owns[0] for own in owns):
        return reports
    together = Together(layout, notation)
    return [
        report
        if (report.layout, report.notation) == (layout, notation)
        else check_file(report.path, settings, together=together)
        for report in reports
    ]


def check_overlap(first: FileReport, other: FileReport) -> Problem | None:
    """Return a warning if sentences of `other` are also in `first` (such as test sentences in a training set)."""
    known = {tuple(sentence.tokens) for sentence in first.sentences}
    shared = [sentence for sentence in other.sentences if tuple(sentence.tokens) in known]
    if not shared:
        return None
    share = 100 * len(shared) / len(other.sentences)
    longest = max(shared, key=lambda sentence: len(sentence.tokens))
    return Problem(
        0,
        WARNING,
        f"{len(shared)} of {counted(len(other.sentences), 'sentence')} ({share:.1f} %)"
        f" {'is' if len(shared) == 1 else 'are'} also in {first.path}; the longest is on"
        f" line {longest.line_number(0)} ({counted(len(longest.tokens), 'token')})",
        "overlap",
    )
