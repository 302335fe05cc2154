"""The command `tagger curve`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tagger.cli import console
from tagger.cli.init import given_config
from tagger.cli.options import require_packages
from tagger.cli.runs import directory_for, leave_if_stopped, machines_of, runs_options, warn_of_logs
from tagger.errors import TaggerError
from tagger.filesystem import relative_path
from tagger.wording import as_text, duration

if TYPE_CHECKING:
    from tagger.runs.curve import Curve

_N_DRAWN = 60  # points of the drawn curve


@click.command()
@runs_options
@click.option(
    "--shares",
    default="10,20,30,50,70,100",
    show_default=True,
    metavar="P,P,...",
    help="Shares of the data in percent.",
)
@click.option(
    "--repeats", type=click.IntRange(min=1, max=100), default=3, show_default=True, help="Trainings on each share."
)
@click.option("--runs", type=click.Path(), metavar="DIR", help="Directory of the trainings. Default: <model>.curve.")
@click.option("-o", "--output", type=click.Path(), metavar="OUT.svg", help="Draw the curve.")
def curve(
    files: tuple[str, ...],
    settings: tuple[str, ...],
    jobs: int | None,
    ray: str | None,
    device: str,
    resume: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    shares: str,
    repeats: int,
    runs: str | None,
    output: str | None,
) -> None:
    """Say how much more labels would bring.

    Trains on growing shares of the training data, and fits a curve to the scores on dev, which is continued beyond the
    data, with the uncertainty of the fit.
    """
    require_packages("tensorflow", "pydantic")
    target = None if output is None else _target(output)
    _, config = given_config(files, settings, (lambda text: None) if quiet else console.say)
    warn_of_logs(config)
    from tagger.cli.runs_progress import RunsProgress
    from tagger.runs.curve import CurveSettings, learning_curve

    directory = directory_for(config, "curve", runs)
    with console.StopRequest() as stop, RunsProgress(stop.begin, quiet=quiet) as progress, machines_of(ray) as machines:
        wanted = CurveSettings(
            directory=directory, shares=_percentages(shares), repeats=repeats, at_once=jobs, device=device,
            resume=resume, force=force, machines=machines,
        )  # fmt: skip
        found = learning_curve(
            config, wanted, progress, note=progress.note, warn=progress.warn, should_stop=stop.requested
        )
    leave_if_stopped(stop, found)
    if found is None:
        return
    if target is not None:  # first, because nobody may read standard output
        _draw(found, target)
    text = json.dumps(found.to_json()) + "\n" if as_json else _table(found)
    console.write(text.encode())
    if target is not None:
        console.say(f"the curve is in {output}")
    seconds = sum(result.seconds for result in found.results)
    console.say(f"the trainings took {duration(seconds)} in all; they are in {relative_path(directory)}")


def _percentages(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"found {text!r}, expected percentages with commas between them, as in 10,20,50,100", param_hint="--shares"
        ) from None


def _target(output: str) -> Path:
    from tagger.evaluation.error_table import check_target
    from tagger.report.charts import STANDALONE, require_libraries

    if not output.endswith(".svg"):
        raise click.BadParameter(f"found {output!r}, expected a name that ends in .svg", param_hint="-o")
    require_libraries()
    return check_target(output, STANDALONE, "a chart of tagger curve")


def _table(found: Curve) -> str:
    rows = [f"{'sentences':>10}  {'dev ' + found.what:>12}  {'fitted':>7}  95 % interval"]
    for point in found.points:
        rows.append(f"{point.n:10,}  {100 * point.mean:12.2f}  {_fitted(found, point.n)}")
    rows += [f"{n:10,}  {'':12}  {_fitted(found, n)}" for n in (2 * found.n, 4 * found.n)]
    return as_text([*rows, "", found.sentence()])


def _fitted(found: Curve, n: int) -> str:
    estimate = found.fitted.at(n)
    return f"{100 * estimate.value:7.2f}  {100 * estimate.low:.2f} to {100 * estimate.high:.2f}"


def _draw(found: Curve, target: Path) -> None:
    from tagger.atomic import write_atomically
    from tagger.report.charts import learning_curve, standalone

    first, last = found.points[0].n, 2 * found.n
    sizes = [round(first * (last / first) ** (i / (_N_DRAWN - 1))) for i in range(_N_DRAWN)]
    band = [(n, one.value, one.low, one.high) for n in sizes for one in [found.fitted.at(n)]]
    points = [(point.n, score) for point in found.points for score in point.scores]
    label = f"dev {found.what} by the number of sentences; {found.sentence()}"
    try:
        write_atomically(target, standalone(learning_curve(points, band, found.what, label)).encode())
    except OSError as error:
        raise TaggerError(f"-o {target}: cannot be written: {error.strerror}; choose another place") from None
