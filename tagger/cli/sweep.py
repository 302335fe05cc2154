"""The command `tagger sweep`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagger.cli import console
from tagger.cli.init import given_config
from tagger.cli.options import Finite, require_packages
from tagger.cli.runs import directory_for, machines_of, runs_options, warn_of_logs
from tagger.errors import ConfigError, DataError, TaggerError
from tagger.filesystem import relative_path
from tagger.wording import as_argument, as_text, counted, duration

if TYPE_CHECKING:
    from tagger.sweep.outcome import Outcome
    from tagger.sweep.study import Trial


@click.command()
@runs_options
@click.option(
    "--space", type=click.Path(), required=True, metavar="SPACE", help="YAML file: keys with the values to try."
)
@click.option(
    "--trials", type=click.IntRange(min=1), metavar="N", help="Trials in all. Default: 20, or the whole grid."
)
@click.option(
    "--minutes", type=Finite(min=0, min_open=True), metavar="M", help="After M minutes, begin no further trial."
)
@click.option(
    "--sampler",
    type=click.Choice(["tpe", "random", "grid"]),
    default="tpe",
    show_default=True,
    help="How values are chosen. tpe: near good ones; grid: all combinations.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the choice of values. Default: training.seed.")
@click.option("--no-prune", is_flag=True, help="Train all trials to their end, also those that fall behind.")
@click.option("--study", type=click.Path(), metavar="DIR", help="Directory of the sweep. Default: <model>.sweep.")
def sweep(
    files: tuple[str, ...],
    settings: tuple[str, ...],
    jobs: int | None,
    ray: str | None,
    device: str,
    resume: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    space: str,
    trials: int | None,
    minutes: float | None,
    sampler: Any,
    seed: int | None,
    no_prune: bool,
    study: str | None,
) -> None:
    """Search for the values of config keys that score best on dev.

    Trains with values from SPACE, and stops trainings that fall behind. Prints the trials, the best first, and how much
    each key mattered; the config of the best is DIR/best.yaml. The same command continues a sweep, with or without
    --resume. The test set is not read.
    """
    require_packages("tensorflow", "pydantic")
    _require_library()
    _, config = given_config(files, settings, (lambda text: None) if quiet else console.say)
    warn_of_logs(config)
    from tagger.cli.runs_progress import RunsProgress
    from tagger.sweep.settings import SweepSettings
    from tagger.sweep.space import read_space
    from tagger.sweep.sweep import sweep as search

    if not space:
        raise ConfigError("--space: found an empty name, expected a file with keys and the values to try; name one")
    if not os.path.lexists(space):
        raise ConfigError(
            f"--space: found no file {space}, expected one with keys and the values to try; check the path"
        )
    found = read_space(Path(space))
    directory = directory_for(config, "sweep", study, option="--study")
    with console.StopRequest() as stop, RunsProgress(stop.begin, quiet=quiet) as progress, machines_of(ray) as machines:
        wanted = SweepSettings(
            directory=directory, trials=trials, minutes=minutes, sampler=sampler, seed=seed, prune=not no_prune,
            at_once=jobs, device=device, force=force, machines=machines,
        )  # fmt: skip
        outcome = search(config, found, wanted, progress, note=progress.note, should_stop=stop.requested)
    if outcome is None:
        console.say("stopped; to continue, give the same command again")
        click.get_current_context().exit(stop.exit_code or console.INTERRUPTED)
    chart = _draw(outcome, directory)
    console.write((json.dumps(outcome.to_json()) + "\n" if as_json else _table(outcome)).encode())
    if not quiet:
        console.say(*_advice(outcome, chart))


def _require_library() -> None:
    import importlib.util

    if importlib.util.find_spec("optuna") is None:
        raise TaggerError(
            "tagger sweep: found no optuna, expected it to choose what is tried; run pip install '.[sweep]' in a clone"
            " of tagger"
        )


def _table(outcome: Outcome) -> str:
    """Return a row for each trial, the best first, and what each key mattered."""
    from tagger.config.file import yaml_value

    keys = list(outcome.best.values)
    rows = [["trial", f"dev {outcome.what}", "epochs", "minutes", *keys, ""]]
    for one in outcome.trials:
        score = "" if one.score is None else f"{100 * one.score:.2f}"
        values = [yaml_value(one.values[key]) if key in one.values else "" for key in keys]
        rows.append(
            [str(one.number), score, str(one.epochs), f"{one.seconds / 60:.1f}", *values, _remark(one, outcome)]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([*(cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]
    if outcome.importances is None:
        lines += ["", "too few trials are finished, or all score alike, so nothing is said of what mattered"]
    else:
        lines += ["", f"what mattered (share of the variance of dev {outcome.what} among finished trials):"]
        lines += [f"{100 * share:5.1f} %  {key}" for key, share in outcome.importances.items()]
    return as_text(lines)


def _remark(trial: Trial, outcome: Outcome) -> str:
    what = {"finished": "", "pruned": "stopped early", "unfinished": "not finished", "failed": f"failed: {trial.error}"}
    return ", ".join(filter(None, ["the config" if trial.number == outcome.first else "", what[trial.state]]))


def _advice(outcome: Outcome, chart: str) -> list[str]:
    """Return what to know and what to do next."""
    n = sum(one.state in ("finished", "pruned") for one in outcome.trials)
    seconds = sum(one.seconds for one in outcome.trials)
    best = relative_path(outcome.best_config)
    lines = [f"the trials took {duration(seconds)} in all", *filter(None, [chart])]
    if outcome.n_open:
        lines.append(f"{counted(outcome.n_open, 'trial')} more to come: give the same command again")
    return [
        *lines,
        f"the best of {counted(n, 'dev score')} is optimistic; the test set was not read",
        f"the best config is {best}",
        f"next: tagger train {as_argument(best)} --seeds 5, then tagger eval on the test set",
    ]


def _draw(outcome: Outcome, directory: Path) -> str:
    """Draw what mattered, and return a note about it; without the extra `report`, the note says so."""
    from tagger.atomic import write_atomically
    from tagger.report.charts import importances, require_libraries, standalone
    from tagger.sweep.sweep import CHART

    if outcome.importances is None:
        return ""
    try:
        require_libraries()
    except DataError:
        return "no chart of what mattered: for one, run pip install '.[report]' in a clone of tagger"
    path = directory / CHART
    try:
        write_atomically(path, standalone(importances(outcome.importances, f"dev {outcome.what}")).encode())
    except OSError as error:
        return f"{path}: cannot be written: {error.strerror}; the table has its numbers"
    return f"the chart of what mattered is {relative_path(path)}"
