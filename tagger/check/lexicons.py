"""Checks of the word lists and clusters of a config against the files that are checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tagger.check.files import FileReport
from tagger.check.problems import ERROR, WARNING, Problem
from tagger.config.keys import FeaturesConfig
from tagger.errors import TaggerError
from tagger.lexicons.features import describe, read_lexicons


def with_lexicons(reports: Sequence[FileReport], settings: FeaturesConfig, n_train: int) -> list[FileReport]:
    """Return reports, the first of which says how much of the files word lists and clusters cover.

    Args:
        reports: one for each file; those of the training files come first.
        settings: the word lists and clusters.
        n_train: the number of training files.
    """
    first, *others = reports
    try:
        lexicons = read_lexicons(**settings.sources())
    except TaggerError as error:
        problem = Problem(0, ERROR, error.message, "features")
        return [dataclasses.replace(first, problems=[problem, *first.problems]), *others]
    if not lexicons.features.spec:
        return list(reports)
    corpora = {"train": [sentence.tokens for report in reports[:n_train] for sentence in report.sentences]}
    corpora |= {report.path: [sentence.tokens for sentence in report.sentences] for report in reports[n_train:]}
    notes, warnings = describe(lexicons, corpora)
    problems = [Problem(0, WARNING, text, "features") for text in warnings]
    return [
        dataclasses.replace(first, notes=[*first.notes, *notes], problems=[*problems, *first.problems]),
        *others,
    ]
