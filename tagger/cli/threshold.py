"""The command `tagger threshold`."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from tagger.cli import console, models
from tagger.cli.options import Finite, chosen_layout, engine_options, layout_options
from tagger.corpus.lines import shown_name
from tagger.corpus.schemes import NO_SCHEME
from tagger.errors import DataError

if TYPE_CHECKING:
    from tagger.evaluation.thresholds import Threshold


@click.command()
@click.argument("file", type=click.Path(), required=False)
@click.option(
    "--precision",
    type=Finite(min=0, max=1, min_open=True),
    default=0.95,
    show_default=True,
    metavar="P",
    help="Share of the kept spans that is to be right.",
)
@click.option("--save", is_flag=True, help="Store the thresholds with the model, for tagger predict.")
@click.option("--remove", is_flag=True, help="Remove the thresholds that are stored with the model. Takes no FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@engine_options
@layout_options
def threshold(
    file: str | None,
    precision: float,
    save: bool,
    remove: bool,
    as_json: bool,
    model_dir: str | None,
    device: str,
    threads: int | None,
    **layout_options: str | None,
) -> None:
    """Find how sure the model has to be for a precision.

    FILE is a gold file that the model was not trained on. For each entity type, prints the lowest probability from
    which on the predicted spans have the precision, and the recall that this costs.
    """
    if remove:
        if file is not None or save:
            other = "--save" if file is None else "a FILE"
            raise click.UsageError(f"--remove: found it with {other}, expected one of the two; delete the other")
        from tagger.model_dir.store import save_thresholds

        save_thresholds(models.model_path(model_dir), {})
        console.say("the model has no thresholds now: tagger predict shows all spans")
        return
    if file is None:
        raise click.UsageError("FILE: found none, expected a gold file; name one that the model was not trained on")
    models.require_input(file)
    predictor = models.load_predictor(model_dir, device, threads)
    layout = chosen_layout(predictor.model.manifest, **layout_options)
    from tagger.evaluation.evaluate import tagged_gold
    from tagger.evaluation.thresholds import thresholds_for
    from tagger.model_dir.store import save_thresholds

    if predictor.model.manifest.notation.scheme == NO_SCHEME:
        raise DataError(
            f"--model: found a model of plain tags (scheme {NO_SCHEME}), expected one of spans, whose probabilities"
            " have thresholds; choose another"
        )
    with tagged_gold(predictor, file, layout, console.say, models.warn, spans=True) as tagged:
        every, types = thresholds_for(tagged, precision)
    if not every.n:
        raise DataError(
            "found no predicted span, expected some to find a threshold among; use a larger file or a better model",
            path=shown_name(file),
        )
    if as_json:
        of_types = {name: dataclasses.asdict(one) for name, one in types.items()}
        found = {"precision": precision, "all": dataclasses.asdict(every), "types": of_types}
        console.write((json.dumps(found) + "\n").encode())
    else:
        console.write(_table(every, types).encode())
    for name, one in types.items():
        if one.threshold is None:
            models.warn(f"{name}: no threshold has a precision of {100 * precision:g}; none of its spans would be kept")
    if every.threshold is None:
        models.warn(
            f"all types: no threshold has a precision of {100 * precision:g}; no spans of types that are not in the"
            " table would be kept"
        )
    if save:
        stored = {"": every.threshold, **{name: one.threshold for name, one in types.items()}}
        save_thresholds(predictor.model.directory, stored)
        console.say(
            "the thresholds are stored with the model: tagger predict leaves out less probable spans, except in"
            " --format conll; --min-probability 0 keeps all of them"
        )


def _table(every: Threshold, types: dict[str, Threshold]) -> str:
    rows = [*types.items(), ("all", every)]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':{width}}  threshold  precision  recall  (without)  spans"]
    for name, one in rows:
        shown = "–" if one.threshold is None else f"{one.threshold:.4f}"
        note = "  (few: that of all)" if one.of_all else ""
        lines.append(
            f"{name:{width}}  {shown:>9}  {100 * one.precision:9.2f}  {100 * one.recall:6.2f}"
            f"  {100 * one.recall_of_all:9.2f}  {one.n:5}{note}"
        )
    return "\n".join(lines) + "\n"
