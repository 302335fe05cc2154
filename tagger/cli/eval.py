"""The command `tagger eval`."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from tagger.cli import console, models
from tagger.cli.options import chosen_layout, engine_options, layout_options, require_packages

if TYPE_CHECKING:
    from tagger.evaluation.details import Details
    from tagger.prediction.predictor import Predictor


@click.command(name="eval")
@click.argument("file", type=click.Path(), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option(
    "--metric",
    type=click.Choice(["seqeval", "nervaluate"]),
    default="seqeval",
    show_default=True,
    help="nervaluate: the four schemas of SemEval-2013, which give partly right spans a place of their own.",
)
@click.option("--unseen", is_flag=True, help="Add the scores of entities that the training data had or did not have.")
@click.option(
    "--train",
    "train",
    type=click.Path(),
    multiple=True,
    metavar="FILE",
    help="Training file for --unseen, if it is not where the model's config says.",
)
@click.option(
    "--errors", type=click.Path(), metavar="OUT", help="Write the errors to OUT, a table for a spreadsheet (TSV)."
)
@functools.partial(engine_options, several=True)
@layout_options
def eval_(
    file: str | None,
    as_json: bool,
    metric: str,
    unseen: bool,
    train: tuple[str, ...],
    errors: str | None,
    model_dirs: tuple[str, ...],
    device: str,
    threads: int | None,
    **layout_options: str | None,
) -> None:
    """Score a model, or several and their ensemble.

    FILE defaults to the test files of the (first) model's config. The ensemble predicts from the mean of the models'
    distributions at each token.
    """
    if train and not unseen:
        raise click.UsageError("--train: found no --unseen, expected it too: it names the training data for it")
    models.require_input(file, *train)
    if len(model_dirs) > 1:
        wanted = {"--metric": metric != "seqeval", "--unseen": unseen, "--errors": errors is not None}
        for option in [option for option, is_wanted in wanted.items() if is_wanted]:
            raise click.UsageError(
                f"{option}: found {len(model_dirs)} models, expected one: several have one table of their scores; leave"
                " the option out, or score one model at a time"
            )
        _score_several(file, model_dirs, device, threads, layout_options, as_json=as_json)
        return
    predictor = models.load_predictor(model_dirs[0] if model_dirs else None, device, threads)
    layout = chosen_layout(predictor.model.manifest, **layout_options)
    with console.leaving_at_once():
        from tagger.cli.reports import format_details, format_report
        from tagger.evaluation.details import evaluate_in_detail
        from tagger.evaluation.evaluate import gold_files

    details = _wanted(predictor, nervaluate=metric == "nervaluate", unseen=unseen, train=train, errors=errors)
    paths = gold_files(predictor.model, file)
    models.require_input(*paths)
    evaluation = evaluate_in_detail(predictor, paths, layout, details, note=console.say, warn=models.warn)
    if as_json:
        text = json.dumps(evaluation.to_json() | details.to_json()) + "\n"
    else:
        text = format_report(evaluation, details.schemas) + format_details(details)
    console.write(text.encode())
    if errors is not None:
        console.say(f"the errors are in {errors}")


def _score_several(
    file: str | None,
    model_dirs: Sequence[str],
    device: str,
    threads: int | None,
    options: Mapping[str, str | None],
    *,
    as_json: bool,
) -> None:
    """Score several models and their ensemble, and print one table."""
    places = [os.path.realpath(one) for one in model_dirs]
    if len(set(places)) < len(places):
        twice = next(one for i, one in enumerate(model_dirs) if places[i] in places[:i])
        raise click.UsageError(f"--model: found {twice} twice, expected each model once; leave one out")
    predictors = [models.load_predictor(one, device, threads) for one in model_dirs]
    manifests = [predictor.model.manifest for predictor in predictors]
    known = tuple(name for manifest in manifests for name in manifest.layout.feature_names)
    layouts = [chosen_layout(manifest, known, **options) for manifest in manifests]
    with console.leaving_at_once():
        from tagger.cli.reports import format_several
        from tagger.evaluation.evaluate import gold_files
        from tagger.evaluation.several import evaluate_several

    paths = gold_files(predictors[0].model, file)
    models.require_input(*paths)
    found = evaluate_several(predictors, model_dirs, paths, layouts, note=console.say, warn=models.warn)
    text = json.dumps(found.to_json()) + "\n" if as_json else format_several(found)
    console.write(text.encode())


def _wanted(
    predictor: Predictor, *, nervaluate: bool, unseen: bool, train: Sequence[str], errors: str | None
) -> Details:
    """Return what the options ask for, before anything is tagged."""
    from tagger.evaluation.details import Details, require_spans
    from tagger.evaluation.error_table import check_target
    from tagger.evaluation.schemas import SchemaScores
    from tagger.evaluation.unseen import UnseenScores

    details = Details()
    if nervaluate:
        require_spans(predictor, "--metric nervaluate")
        details.schemas = SchemaScores()
    if errors is not None:
        require_spans(predictor, "--errors")
        details.errors = check_target(errors)
    if unseen:
        require_spans(predictor, "--unseen")
        require_packages("pydantic", "yaml")
        from tagger.evaluation.training_data import training_entities

        model = predictor.model
        details.unseen = UnseenScores(training_entities(model, train, console.say), model.encoder.tokens)
    return details
