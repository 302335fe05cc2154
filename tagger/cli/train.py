"""The command `tagger train`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tagger.cli import console, models
from tagger.cli.init import given_config
from tagger.cli.options import require_packages, set_option
from tagger.cli.ray_option import ray_option
from tagger.cli.runs import jobs_option, machines_of
from tagger.errors import TaggerError
from tagger.filesystem import relative_path
from tagger.wording import as_argument, duration

if TYPE_CHECKING:
    from tagger.cli.progress import TrainingProgress
    from tagger.cli.runs_progress import RunsProgress
    from tagger.config.keys import Config
    from tagger.evaluation.scores import Evaluation
    from tagger.runs.resources import Resources
    from tagger.runs.runner import Machines
    from tagger.runs.seeds_run import SideBySide
    from tagger.training.history import Outcome
    from tagger.training.init_from import InitFrom
    from tagger.training.listener import Listener, Listeners
    from tagger.training.seeds_outcome import SeedsOutcome


device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "gpu", "gpus"]),
    default="auto",
    show_default=True,
    help="auto uses a GPU if there is one; gpus uses all GPUs, each for a share of every batch.",
)
resume_option = click.option("--resume", is_flag=True, help="Continue an interrupted training, or start one.")
force_option = click.option("--force", is_flag=True, help="Replace a model of another config or of other data too.")
keep_previous_option = click.option(
    "--keep-previous/--no-keep-previous",
    default=True,
    show_default=True,
    help="Keep the model that is replaced as DIR.previous.",
)
quiet_option = click.option(
    "--quiet", is_flag=True, help="Show only warnings, errors and, at the end, the model and its score."
)
log_json_option = click.option(
    "--log-json",
    type=click.Path(),
    metavar="FILE",
    help="Write one JSON object a line to FILE (- is standard output): at the start, after each epoch, at the end.",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """How a training runs, as the options that `train` and `distill` share say."""

    device: str
    resume: bool
    force: bool
    keep_previous: bool
    quiet: bool
    log_json: str | None


@click.command()
@click.argument("files", type=click.Path(), nargs=-1, required=True, metavar="CONFIG|FILE [FILE]...")
@set_option
@click.option("--model", "model_dir", type=click.Path(), help="Directory for the model. Default: models/<config name>.")
@device_option
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train N times, with seeds from training.seed on; report the mean and the spread, and keep the model that is"
    " best on dev.",
)
@click.option(
    "--init-from",
    type=click.Path(),
    metavar="DIR",
    help="Begin with the weights of the model in DIR, and keep what it knows: its tokens, and its types even if the new"
    " data do not annotate them.",
)
@click.option(
    "--replay",
    type=click.Path(),
    metavar="FILE",
    help="With --init-from: train on FILE as well, which is annotated with the types of the old model.",
)
@click.option(
    "--keep-seeds",
    is_flag=True,
    help="With --seeds: keep the model of each seed as DIR.seed-N, for tagger distill and eval.",
)
@jobs_option
@ray_option
@resume_option
@click.option(
    "--epochs-more",
    type=click.IntRange(min=1),
    metavar="N",
    help="Continue a finished training for N epochs, as if it had had them from the start.",
)
@force_option
@keep_previous_option
@quiet_option
@log_json_option
def train(
    files: tuple[str, ...],
    settings: tuple[str, ...],
    model_dir: str | None,
    device: str,
    seeds: int | None,
    init_from: str | None,
    replay: str | None,
    keep_seeds: bool,
    jobs: int | None,
    ray: str | None,
    resume: bool,
    epochs_more: int | None,
    force: bool,
    keep_previous: bool,
    quiet: bool,
    log_json: str | None,
) -> None:
    """Train a model as CONFIG (YAML) says, or on a FILE alone.

    FILE is a corpus, or a folder with one; further files are dev and test files by their names, and those beside FILE
    are found. `tagger init FILE` writes the config that is used.

    The epoch with the best dev F1 is kept. Ctrl-C stops the training and keeps the best epoch so far; --resume then
    continues the training as if it had never been interrupted. A finished model in the directory stays there until the
    training ends.
    """
    if epochs_more is not None and (resume or seeds is not None):
        other = "--resume" if resume else "--seeds"
        raise click.UsageError(f"--epochs-more: found {other} too, expected one of them; leave one out")
    if replay is not None and init_from is None:
        raise click.UsageError("--replay: found it without --init-from, expected both; name the model to begin with")
    if jobs is not None and seeds is None:
        raise click.UsageError("--jobs: found no --seeds, expected it too: one training has no others beside it")
    if ray is not None and (seeds or 1) == 1:
        raise click.UsageError("--ray: found no --seeds, expected several: a single training runs on this machine")
    if ray is not None and device == "gpus":
        raise click.UsageError("--device: found gpus with --ray, expected auto, cpu or gpu: each training has one")
    if keep_seeds and seeds is None:
        raise click.UsageError("--keep-seeds: found no --seeds, expected it too: one training has only one model")
    start = time.monotonic()
    require_packages("tensorflow", "pydantic")
    note: Callable[[str], None] = (lambda text: None) if quiet else console.say
    config_file, config = given_config(files, settings, note, begins_new=init_from is None)
    from tagger.config.loading import with_model_dir

    if model_dir is not None:
        config = with_model_dir(config, model_dir)
    run = Run(device=device, resume=resume, force=force, keep_previous=keep_previous, quiet=quiet, log_json=log_json)
    init = _init_of(init_from, replay)
    follow(
        config,
        config_file,
        run,
        lambda at_once: _trainer(seeds, epochs_more, at_once, init, keep_seeds=keep_seeds),
        start=start,
        seeds=seeds,
        jobs=jobs,
        ray=ray,
        epochs_more=epochs_more,
    )


def follow(
    config: Config,
    config_file: Path | None,
    run: Run,
    trainer_of: Callable[[SideBySide | None], Callable[..., Outcome | SeedsOutcome]],
    *,
    start: float,
    seeds: int | None = None,
    jobs: int | None = None,
    ray: str | None = None,
    epochs_more: int | None = None,
) -> None:
    """Run a training, show it while it runs, and show its result.

    Args:
        config_file: the file of the config, if it has one.
        trainer_of: returns the function that trains, from how several seeds are trained at once.
        start: the time at which the command began, of `time.monotonic`.
    """
    quiet, log_json = run.quiet, run.log_json
    with console.StopRequest() as stop, machines_of(ray) as machines:
        from tagger.cli.runs_progress import RunsProgress
        from tagger.runs.seeds_run import SideBySide
        from tagger.training.listener import Told
        from tagger.training.replacing import Replacing

        resources = _resources(config, seeds, jobs, run.device, log_json, machines, is_ray=ray is not None)
        if resources is not None:
            config = config.model_copy(
                update={"training": config.training.model_copy(update={"threads": resources.threads})}
            )
        replacing = Replacing(config_file=config_file, force=run.force, keep_previous=run.keep_previous)
        mixed = log_json == "-" and sys.stdout is not None and sys.stdout.isatty()  # data and display on one terminal
        display = _display(stop.begin, seeds, resources, quiet=quiet, live=not mixed)
        with display as progress:
            shown = Told(progress.note, progress.warn) if isinstance(progress, RunsProgress) else progress
            at_once = None
            if resources is not None and isinstance(progress, RunsProgress):
                at_once = SideBySide(resources, progress, machines)
            listeners = _listeners(shown, config, log_json, continues=run.resume or epochs_more is not None)
            with contextlib.closing(listeners):
                progress.note("reading the data")
                outcome = trainer_of(at_once)(
                    config,
                    listener=listeners,
                    device=run.device,
                    resume=run.resume,
                    should_stop=stop.requested,
                    replacing=replacing,
                )
                test = _end(outcome, config, listeners)
    summary = outcome.summary()
    for line in summary[:1] if quiet and seeds is None else summary:
        console.say(line)
    if outcome.stopped:
        instead = "" if epochs_more is None else " instead of --epochs-more"
        console.say(f"to continue the training, give the same command with --resume{instead}")
        # If only another worker was asked to stop, this one does not have an exit code of its own.
        click.get_current_context().exit(stop.exit_code or console.INTERRUPTED)
    if outcome.model_dir is not None:
        place = relative_path(outcome.model_dir)
        _remember_model(place)
        if quiet:
            _show_test_score(test)
            return
        _show_results(outcome, test)
        console.say(f"it took {duration(time.monotonic() - start)}; the epochs are in {place}/history.csv")
        for line in listeners.places():
            console.say(line)
        console.say(f"next: tagger predict FILE --model {as_argument(place)}")


def _resources(
    config: Config,
    seeds: int | None,
    jobs: int | None,
    device: str,
    log_json: str | None,
    machines: Machines,
    *,
    is_ray: bool,
) -> Resources | None:
    """Return what seeds that are trained at once may use; None if they are trained one after the other."""
    from tagger.network.distributed import read_task

    if seeds is None or seeds == 1 or len(read_task().workers) > 1:
        return None
    logs = ["--log-json"] * (log_json is not None) + ["training.log"] * bool(config.training.log)
    if logs:
        if is_ray:
            raise click.UsageError(f"--ray: found {logs[0]} too, which follows one training; leave one of them out")
        if jobs is not None and jobs > 1:
            raise click.UsageError(
                f"--jobs: found {jobs} with {logs[0]}, expected 1: a log follows one training; leave one of them out"
            )
        return None
    resources = machines.share_out(config, seeds, at_once=jobs, device=device)
    return resources if resources.n_at_once > 1 or is_ray else None


def _display(
    begin: Callable[[], None], seeds: int | None, resources: Resources | None, *, quiet: bool, live: bool
) -> TrainingProgress | RunsProgress:
    from tagger.cli.progress import TrainingProgress
    from tagger.cli.runs_progress import RunsProgress
    from tagger.network.distributed import read_task

    if resources is not None:
        return RunsProgress(begin, quiet=quiet)
    return TrainingProgress(begin, n_trainings=seeds or 1, quiet=quiet, live=live, is_chief=read_task().is_chief)


def _init_of(init_from: str | None, replay: str | None) -> InitFrom | None:
    from tagger.training.init_from import InitFrom

    return None if init_from is None else InitFrom(directory=Path(init_from), replay=replay)


def _trainer(
    seeds: int | None,
    epochs_more: int | None,
    at_once: SideBySide | None,
    init: InitFrom | None,
    *,
    keep_seeds: bool,
) -> Callable[..., Outcome | SeedsOutcome]:
    """Return the function that trains once, or once with each seed."""
    from tagger.runs.seeds import train_seeds
    from tagger.training.train import train as train_one

    if seeds is not None:
        return functools.partial(train_seeds, n=seeds, init=init, side_by_side=at_once, keep_seeds=keep_seeds)
    return functools.partial(train_one, epochs_more=epochs_more, init=init)


def _listeners(shown: Listener, config: Config, log_json: str | None, *, continues: bool) -> Listeners:
    """Return the display with the logs that the option and the config ask for; only the chief of the workers logs."""
    from tagger.network.distributed import read_task
    from tagger.training.json_log import JsonLog
    from tagger.training.listener import Listeners, Log
    from tagger.training.logs import configured_logs

    logs: list[Log] = [*configured_logs(config, continues=continues)]
    if log_json is not None and read_task().is_chief:
        model_dir = Path(str(config.output.model_dir))
        logs.append(JsonLog(log_json, model_dir, continues=continues, write_out=_write_out))
    return Listeners(shown, logs)


def _write_out(data: bytes) -> None:
    console.write(data)
    console.flush()


def _end(outcome: Outcome | SeedsOutcome, config: Config, listeners: Listeners) -> Evaluation | None:
    """Score the model of a single training on the test files, and tell the listeners; return the scores."""
    from tagger.training.history import Outcome

    if not isinstance(outcome, Outcome):
        return None
    test = None
    if config.data.test is not None and outcome.best is not None and not outcome.stopped and outcome.model_dir:
        from tagger.evaluation.evaluate import evaluate_file, gold_files
        from tagger.prediction.onnx_session import load_predictor

        try:
            predictor = load_predictor(outcome.model_dir)
            test = evaluate_file(predictor, gold_files(predictor.model, None), predictor.model.manifest.layout)
        except TaggerError as error:  # the model is finished all the same
            console.say(f"warning: the test file cannot be scored: {error.message}", *error.detail)
    listeners.end(outcome, test)
    return test


def _show_results(outcome: Outcome | SeedsOutcome, test: Evaluation | None) -> None:
    """Show the scores of a finished training by type; of several seeds, their means."""
    from tagger.cli.reports import format_results, format_seeds_results
    from tagger.training.history import Outcome

    if not isinstance(outcome, Outcome):
        for row in format_seeds_results(outcome.sets).splitlines():
            console.say(row)
        return
    if outcome.best is None:
        return
    sets = {"dev": outcome.best.dev, "test": test}
    for row in format_results({name: found for name, found in sets.items() if found is not None}).splitlines():
        console.say(row)
    if test is not None:
        console.say("the test file had no part in choosing the model")
    if outcome.best.confusions:
        console.say(f"commonest confusions on dev: {', '.join(map(str, outcome.best.confusions))}")


def _show_test_score(test: Evaluation | None) -> None:
    if test is not None:
        what, score = ("F1", test.overall.f1) if test.overall and test.has_spans else ("accuracy", test.accuracy)
        console.say(f"test {what} {100 * score:.2f}")


def _remember_model(model_dir: str) -> None:
    from tagger.cli.options import POINTER, remember_model

    try:
        remember_model(model_dir)
    except OSError as error:
        models.warn(f"{POINTER} cannot be written ({error.strerror}): name the model with --model {model_dir}")
