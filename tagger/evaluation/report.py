"""Scores as text for people."""

from __future__ import annotations

from tagger.evaluation.scores import Evaluation, Score
from tagger.evaluation.significance import Comparison


def format_report(evaluation: Evaluation) -> str:
    """A table of precision, recall and F1 in percent; plain tags have accuracy only."""
    head = f"{evaluation.sentences} sentences, {evaluation.tokens} tokens, accuracy {100 * evaluation.accuracy:.2f}"
    if evaluation.overall is None or evaluation.strict is None:
        return f"{head}\n"
    width = max(len("all, strict"), *(len(name) for name in evaluation.types)) if evaluation.types else 11
    rows = [f"{'':{width}}  precision  recall      F1  support"]
    rows += [_row(name, score, width) for name, score in evaluation.types.items()]
    rows.append(_row("all", evaluation.overall, width))
    strict = evaluation.strict
    rows.append(
        _row(
            "all, strict",
            Score(strict.precision, strict.recall, strict.f1, evaluation.overall.support),
            width,
        )
    )
    return "\n".join([head, "scores by seqeval: conlleval's reading, and strict mode", "", *rows]) + "\n"


def _row(name: str, score: Score, width: int) -> str:
    return (
        f"{name:{width}}  {100 * score.precision:9.2f}  {100 * score.recall:6.2f}  {100 * score.f1:6.2f}"
        f"  {score.support:7d}"
    )


def format_comparison(comparison: Comparison, names: tuple[str, str], what: str) -> str:
    """Two models' F1 (or accuracy) in percent, and what their difference is worth."""
    width = max(map(len, names))
    low, high = (100 * end for end in comparison.interval)
    rows = [f"{name:{width}}  {what} {100 * f1:6.2f}" for name, f1 in zip(names, comparison.f1, strict=True)]
    rows += [
        f"difference {100 * comparison.difference:+.2f}",
        f"95 % interval {low:+.2f} to {high:+.2f} (bootstrap over sentences)",
        f"p = {comparison.p_value:.4f} (paired approximate randomisation, two-sided)",
        f"{comparison.samples} samples each",
    ]
    return "\n".join(rows) + "\n"
