"""The command `tagger crossval`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from tagger.cli import console
from tagger.cli.init import given_config
from tagger.cli.options import require_packages
from tagger.cli.runs import directory_for, folds_options, leave_if_stopped, machines_of, runs_options, warn_of_logs
from tagger.filesystem import relative_path
from tagger.wording import as_text, duration

if TYPE_CHECKING:
    from tagger.runs.crossval import CrossValidation


@click.command()
@runs_options
@folds_options
def crossval(
    files: tuple[str, ...],
    settings: tuple[str, ...],
    jobs: int | None,
    ray: str | None,
    device: str,
    resume: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    k: int,
    by: Any,
    runs: str | None,
) -> None:
    """Score models on training data that they have not seen.

    Divides the training data into folds, and for each one trains on all others and scores on it. Prints the mean and
    the deviation of the scores over the folds, and the scores of all predictions together. DIR has the models, and in
    predictions.conll the training data with what the model that had not seen a sentence predicts for it, and how
    probable each tag is.
    """
    require_packages("tensorflow", "pydantic")
    _, config = given_config(files, settings, (lambda text: None) if quiet else console.say)
    warn_of_logs(config)
    from tagger.cli.runs_progress import RunsProgress
    from tagger.runs.crossval import CrossSettings, cross_validate

    directory = directory_for(config, "crossval", runs)
    with console.StopRequest() as stop, RunsProgress(stop.begin, quiet=quiet) as progress, machines_of(ray) as machines:
        wanted = CrossSettings(
            k=k, by=by, directory=directory, at_once=jobs, device=device, resume=resume, force=force, machines=machines
        )
        found = cross_validate(
            config, wanted, progress, note=progress.note, warn=progress.warn, should_stop=stop.requested
        )
    leave_if_stopped(stop, found)
    if found is None:
        return
    text = json.dumps(found.to_json()) + "\n" if as_json else _table(found)
    console.write(text.encode())
    seconds = sum(result.seconds for result in found.results)
    console.say(f"the trainings took {duration(seconds)} in all; the models are in {relative_path(directory)}")
    console.say(f"the predictions are in {relative_path(found.predictions)}")


def _table(found: CrossValidation) -> str:
    """Return a row for each fold, their mean and deviation, and the scores of all predictions together by type."""
    from tagger.cli.reports import format_report

    means = found.means()
    names = ["accuracy"] if found.pooled.overall is None else ["precision", "recall", "f1"]
    head = "".join(f"{'F1' if name == 'f1' else name:>11}" for name in names)
    rows = [f"{'fold':9}{head}  epoch"]
    for number, (result, fold) in enumerate(zip(found.results, found.folds, strict=True), start=1):
        source = fold.overall or fold
        rows.append(f"{number:<9}{''.join(f'{100 * getattr(source, name):11.2f}' for name in names)}  {result.epoch:5}")
    rows.append(f"{'mean':9}{''.join(f'{100 * means[name][0]:11.2f}' for name in names)}")
    rows.append(f"{'deviation':9}{''.join(f'{100 * means[name][1]:11.2f}' for name in names)}")
    return as_text([*rows, "", f"all folds together (folds of {found.by}s):"]) + format_report(found.pooled)
