"""Equal problems as one line each, so that a systematic fault of a file takes a few lines, however often it occurs."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

from tagger.check.problems import Problem

_MOST_GROUPS = 5  # of each kind
_MOST_LINES, _MOST_EXAMPLES = 3, 5  # in the text of a group


@dataclasses.dataclass(frozen=True)
class Group:
    """Problems of one severity and kind whose texts differ in nothing but an example, in the order of the file."""

    problems: Sequence[Problem]

    @property
    def text(self) -> str:
        """The message of a single problem; of several, their number, common text, examples and first lines.

        >>> Group([Problem(n, "error", "found 1 column", "columns") for n in (3, 5, 8, 9)]).text
        '4 × found 1 column (lines 3, 5, 8, …)'
        """
        first = self.problems[0]
        if len(self.problems) == 1:
            return first.message
        text = f"{len(self.problems):,} × {first.common or first.message}"
        if first.example:
            text += f": {_listed_examples([problem.example for problem in self.problems])}"
        lines = list(dict.fromkeys(problem.line for problem in self.problems))
        if lines != [0]:
            more = ", …" if len(lines) > _MOST_LINES else ""
            text += f" (line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines[:_MOST_LINES]))}{more})"
        return text

    def format(self, path: str) -> str:
        """Return the line of a report on a file."""
        return dataclasses.replace(self.problems[0], message=self.text).format(path)


def _listed_examples(examples: Sequence[str]) -> str:
    """Return the commonest examples, with their numbers if these differ from 1."""
    counts = collections.Counter(examples).most_common()
    listed = [example if n == 1 else f"{example} ({n:,})" for example, n in counts[:_MOST_EXAMPLES]]
    return ", ".join([*listed, "…"] if len(counts) > _MOST_EXAMPLES else listed)


def group_problems(problems: Sequence[Problem]) -> list[list[Group]]:
    """Return the groups of each severity and kind, all in the order of their first problems."""
    kinds: dict[tuple[str, str], dict[str, list[Problem]]] = {}
    for problem in problems:
        groups = kinds.setdefault((problem.severity, problem.kind), {})
        groups.setdefault(problem.common or problem.message, []).append(problem)
    return [[Group(members) for members in groups.values()] for groups in kinds.values()]


def format_problems(problems: Sequence[Problem], path: str, *, one_by_one: bool) -> list[str]:
    """Return the lines that show the problems of a file.

    Args:
        problems: the problems in the order of the file.
        path: the file.
        one_by_one: whether to show each problem on a line of its own. Otherwise a group is one line, and of each kind
            only the largest groups are shown.
    """
    if one_by_one:
        return [problem.format(path) for problem in problems]
    lines = []
    for groups in group_problems(problems):
        largest = sorted(range(len(groups)), key=lambda i: -len(groups[i].problems))[:_MOST_GROUPS]
        lines += [groups[i].format(path) for i in sorted(largest)]
        n_left = sum(len(group.problems) for group in groups) - sum(len(groups[i].problems) for i in largest)
        if n_left:
            severity = groups[0].problems[0].severity
            lines.append(f"{path}: {severity}: and {n_left:,} more like the {_MOST_GROUPS} above; --all shows them")
    return lines
