"""The options that the commands with many trainings share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tagger.cli import console, models
from tagger.cli.options import set_option
from tagger.cli.ray_option import ray_option
from tagger.errors import ConfigError

if TYPE_CHECKING:
    from tagger.config.keys import Config
    from tagger.runs.runner import Machines

jobs_option = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Trainings to run side by side. Default: as many as cores and memory allow.",
)


@contextlib.contextmanager
def machines_of(ray: str | None) -> Iterator[Machines]:
    """Give the machines that --ray names, or this one, for the time of a `with` block.

    Raises:
        TaggerError: Ray is not installed, or the cluster cannot be reached.
    """
    if ray is None:
        from tagger.runs.runner import ThisMachine

        yield ThisMachine()
        return
    from tagger.cluster.connection import connected

    with connected(ray):
        from tagger.cluster.trainings import RayMachines

        yield RayMachines()


def runs_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments and options of a command that trains many times."""
    options: list[Callable[..., Callable[..., None]]] = [
        click.argument("files", type=click.Path(), nargs=-1, required=True, metavar="CONFIG|FILE [FILE]..."),
        set_option,
        jobs_option,
        ray_option,
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "gpu"]),
            default="auto",
            show_default=True,
            help="auto uses a GPU if there is one.",
        ),
        click.option("--resume", is_flag=True, help="Continue what was interrupted, or show finished results."),
        click.option("--force", is_flag=True, help="Start over where trainings have been."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table."),
        click.option("--quiet", is_flag=True, help="Show only warnings, errors and the results."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def folds_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a command that divides the training data into folds."""
    options: list[Callable[..., Callable[..., None]]] = [
        click.option(
            "-k", "k", type=click.IntRange(min=2, max=1000), default=5, show_default=True, help="Number of folds."
        ),
        click.option(
            "--by",
            type=click.Choice(["auto", "document", "sentence"]),
            default="auto",
            show_default=True,
            help="What to divide. auto: documents if there are at least two for each fold, else sentences.",
        ),
        click.option(
            "--runs", type=click.Path(), metavar="DIR", help="Directory of the trainings. Default: <model>.crossval."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def directory_for(config: Config, suffix: str, given: str | None, *, option: str = "--runs") -> Path:
    """Return the directory of many trainings: the given one, or one beside the model's."""
    if given == "":
        raise ConfigError(f"{option}: found an empty name, expected a directory; name one, or leave the option out")
    return Path(given) if given is not None else Path(f"{config.output.model_dir}.{suffix}")


def warn_of_logs(config: Config) -> None:
    """Warn if the config asks for logs, which follow a training of `tagger train`."""
    if config.training.log:
        models.warn(
            f"training.log: found {', '.join(config.training.log)}, which only tagger train writes, so these trainings"
            " have no such log; each has its epochs in history.csv of its model"
        )


def leave_if_stopped(stop: console.StopRequest, found: object) -> None:
    """End the command if its trainings were stopped before their end."""
    if found is None:
        console.say("stopped; to continue, give the same command with --resume")
        click.get_current_context().exit(stop.exit_code or console.INTERRUPTED)
