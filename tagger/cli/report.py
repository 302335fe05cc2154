"""The command `tagger report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tagger.cli import console, models
from tagger.cli.options import chosen_layout, engine_options, layout_options, require_packages

if TYPE_CHECKING:
    from tagger.prediction.predictor import Predictor
    from tagger.report.build import Side


@click.command()
@click.argument("file", type=click.Path(), required=False)
@click.option(
    "-o",
    "--output",
    "output",
    type=click.Path(),
    default="report.html",
    show_default=True,
    metavar="OUT",
    help="Page to write.",
)
@click.option(
    "--against",
    type=click.Path(),
    metavar="DIR",
    help="Another model: the report then shows what one of them gets right and the other wrong.",
)
@click.option(
    "--train",
    "train",
    type=click.Path(),
    multiple=True,
    metavar="FILE",
    help="Training file, if it is not where the model's config says.",
)
@engine_options
@layout_options
def report(
    file: str | None,
    output: str,
    against: str | None,
    train: tuple[str, ...],
    model_dir: str | None,
    device: str,
    threads: int | None,
    **layout_options: str | None,
) -> None:
    """Write a page about a model and its errors.

    FILE is a gold file; it defaults to the test files of the model's config. The page is one file that makes no network
    requests: learning curves, scores by type with intervals, errors by kind, calibration, and the wrong sentences.
    """
    require_packages("pydantic", "yaml")
    from tagger.report.charts import require_libraries
    from tagger.report.page import report_target, write_page

    require_libraries()
    target = report_target(output)
    models.require_input(file, *train)
    predictor = models.load_predictor(model_dir, device, threads)
    from tagger.evaluation.evaluate import gold_files
    from tagger.report.build import Side, make_report, read_training, require_model_of_spans

    def side_of(predictor: Predictor, known: tuple[str, ...]) -> Side:
        require_model_of_spans(predictor, "--model" if predictor is not other else "--against")
        layout = chosen_layout(predictor.model.manifest, known, **layout_options)
        return Side(str(predictor.model.directory), predictor, layout)

    other = None if against is None else models.load_predictor(against, device, threads)
    known = tuple(
        name for one in (predictor, other) if one is not None for name in one.model.manifest.layout.feature_names
    )
    sides = [side_of(one, known) for one in (predictor, other) if one is not None]
    paths = gold_files(predictor.model, file)
    models.require_input(*paths)
    training = read_training(predictor, train, console.say)
    write_page(target, make_report(sides[0], paths, training, *sides[1:], note=console.say, warn=models.warn))
    console.say(f"the report is in {output}")
