"""The command `tagger suspects`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagger.cli import console, models
from tagger.cli.init import given_config
from tagger.cli.options import require_packages
from tagger.cli.runs import directory_for, folds_options, leave_if_stopped, machines_of, runs_options, warn_of_logs
from tagger.errors import TaggerError
from tagger.filesystem import relative_path
from tagger.wording import counted

if TYPE_CHECKING:
    from tagger.config.keys import Config
    from tagger.runs.crossval import CrossSettings, OutOfFold
    from tagger.runs.suspects import Suspect


@click.command()
@runs_options
@folds_options
@click.option(
    "-o", "--output", type=click.Path(), metavar="OUT", help="Table to write. With --apply: the corrected corpus."
)
@click.option("--html", type=click.Path(), metavar="PAGE", help="Write a page with the suspects too.")
@click.option("--apply", "reviewed", type=click.Path(), metavar="TABLE", help="Correct the corpus as TABLE says.")
def suspects(
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
    output: str | None,
    html: str | None,
    reviewed: str | None,
) -> None:
    """Find gold labels of the training data that are probably wrong.

    Trains as `tagger crossval` does (--resume uses its trainings), and writes a table of the places where a model that
    had not seen a sentence reads it otherwise than its labels, the most doubtful first. Fill its first column: nothing
    or gold keeps a label, predicted takes the prediction, and tags take the place of both. --apply TABLE -o OUT then
    writes a corrected copy of the training data, with no other byte changed.
    """
    if output is None:
        raise click.UsageError("-o: found none, expected the name of the file to write")
    if html is not None and (reviewed is not None or os.path.realpath(html) == os.path.realpath(output)):
        found_too = "--apply too" if reviewed is not None else f"the same name as -o, {html}"
        raise click.UsageError(f"--html: found {found_too}, expected a page of its own, made without --apply")
    note = (lambda text: None) if quiet else console.say
    _, config = given_config(files, settings, note, trains=reviewed is None)
    if reviewed is not None:
        _apply(config, Path(reviewed), Path(output), as_json=as_json)
        return
    require_packages("tensorflow", "pydantic")
    warn_of_logs(config)
    from tagger.cli.runs_progress import RunsProgress
    from tagger.evaluation.error_table import check_target
    from tagger.report.page import report_target
    from tagger.runs.crossval import CrossSettings
    from tagger.runs.suspects_table import HEADER

    target = check_target(output, HEADER, "a table of suspects")
    page = None if html is None else report_target(html)
    if page is not None:
        require_packages("jinja2")
    directory = directory_for(config, "crossval", runs)
    with console.StopRequest() as stop, RunsProgress(stop.begin, quiet=quiet) as progress, machines_of(ray) as machines:
        wanted = CrossSettings(
            k=k, by=by, directory=directory, at_once=jobs, device=device, resume=resume, force=force, machines=machines
        )
        found = _found(config, wanted, progress, stop)
    leave_if_stopped(stop, found)
    if found is None:
        return
    _write(*found, target, page)
    if as_json:
        console.write((json.dumps(_to_json(*found)) + "\n").encode())
    console.say(f"{counted(len(found[1]), 'suspect')} in {counted(len(found[0].corpus), 'sentence')} are in {output}")
    if html is not None:
        console.say(f"the page is in {html}")


def _found(config: Config, wanted: CrossSettings, progress: Any, stop: Any) -> tuple[OutOfFold, list[Suspect]] | None:
    from tagger.runs.crossval import PREDICTIONS, out_of_fold
    from tagger.runs.plan import RunsDirectory
    from tagger.runs.suspects import find_suspects, ranked

    directory = RunsDirectory(wanted.directory, results=(PREDICTIONS,))
    with directory.lock():
        found = out_of_fold(
            config, wanted, progress, directory, note=progress.note, warn=progress.warn, should_stop=stop.requested,
            of_spans=True,
        )  # fmt: skip
        if found is None:
            return None
        return found, ranked(find_suspects(found, wanted.directory))


def _write(found: OutOfFold, ranking: list[Suspect], target: Path, page: Path | None) -> None:
    from tagger.atomic import write_blocks_atomically
    from tagger.runs.suspects_table import table_of

    write_blocks_atomically(target, table_of(ranking, found.corpus, found.found.notation))
    if page is not None:
        from tagger.report.page import write_page
        from tagger.runs.suspects_page import suspects_page

        write_page(page, suspects_page(ranking, found.corpus))


def _to_json(found: OutOfFold, ranking: list[Suspect]) -> dict[str, Any]:
    corpus = found.corpus
    return {
        "sentences": len(corpus),
        "suspects": [
            {
                "file": relative_path(corpus.sentences[one.sentence].path),
                "line": corpus.sentences[one.sentence].line_number(one.place.start),
                "kind": one.place.kind,
                "probability": one.probability,
                "tokens": corpus.sentences[one.sentence].tokens[one.place.start : one.place.end],
                "gold": [[span.type, span.start, span.end] for span in one.place.gold],
                "predicted": [[span.type, span.start, span.end] for span in one.place.predicted],
            }
            for one in ranking
        ],
    }


def _apply(config: Config, table: Path, target: Path, *, as_json: bool) -> None:
    from tagger.corpus.lines import files_of
    from tagger.runs.corrections import corrections_of, write_corrected
    from tagger.training.corpora import load_training_data

    rules = config.data.labels
    if rules.keep is not None or rules.map:
        raise TaggerError(
            "data.labels: found labels to keep or to map, expected none: the files have other labels than those that"
            " were learned; correct the files by hand, or find the suspects without data.labels"
        )
    found = load_training_data(config.data, config.training.seed, lambda text: None, models.warn)
    corrections = corrections_of(table, found)
    copies = write_corrected(corrections, files_of(config.data.train), found.layout, target)
    if as_json:
        changes = {
            file: [{"line": one.line, "old": one.old, "new": one.new} for one in of_it]
            for file, of_it in corrections.changes.items()
        }
        console.write((json.dumps({"changes": changes, "files": list(map(str, copies))}) + "\n").encode())
    console.say(f"{corrections.describe()}; the corrected corpus is in {', '.join(map(str, copies))}")
