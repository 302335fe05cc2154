"""`tagger predict --ray`: a folder of inputs becomes a folder of outputs."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import importlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from tagger import __version__
from tagger.cli import console, models
from tagger.cli.options import keys_as_options
from tagger.cli.predict import FORMAT_MODULES, parse_thresholds
from tagger.cli.progress import StandardError
from tagger.cli.tagging import Wanted, output_format, tag_input
from tagger.cluster.connection import require_ray
from tagger.cluster.tagging import FileOutput, FolderSettings, Watcher, tag_folder
from tagger.errors import DataError, TaggerError
from tagger.wording import counted, duration, visible

if TYPE_CHECKING:
    from tagger.model_dir.manifest import Manifest
    from tagger.prediction.predictor import Predictor

_SHOWN = 3  # notes that differ only in their file
_MOST_ERRORS = 50  # shown one by one
_EVERY = 30.0  # seconds between two lines about the progress, where there is no terminal


def predict_folder(
    address: str, source: str, target: str, model_dir: str | None, wanted: Wanted, workers: int | None
) -> None:
    """Tag the files of a folder on a Ray cluster.

    Raises:
        TaggerError: some could not be tagged, or none.
    """
    require_ray()
    from tagger.cluster.model_copy import read_manifest

    if wanted.min_probability is not None:
        parse_thresholds(wanted.min_probability)
    model = models.model_path(model_dir)
    manifest = read_manifest(model)
    own = click.get_current_context().command.params
    options = tuple(name for option in own for name in option.opts if name.startswith("--"))
    settings = FolderSettings(
        address=address,
        source=Path(source),
        target=Path(target),
        model=model,
        made_with={"version of tagger": __version__, **_named_options(wanted)},
        tag=_TagFile(wanted, options),
        name_of=_NameOf(wanted, options, manifest),
        workers=workers,
    )
    with _Progress(Path(source)) as progress:
        n_failed = tag_folder(settings, progress)
    progress.end()
    if n_failed:
        raise TaggerError(
            f"{source}: {counted(n_failed, 'file')} could not be tagged, expected all; see above, and give the same"
            " command again for the rest"
        )


def _named_options(wanted: Wanted) -> dict[str, str | int | bool]:
    """Return the options that were given, as a user names them → value."""
    values = {
        f"--{field.name.rstrip('_').replace('_', '-')}": getattr(wanted, field.name)
        for field in dataclasses.fields(wanted)
    }
    named = {"--is-text": "--text", "--read-as": "--from", "--n-best": "--nbest"}
    return {named.get(name, name): value for name, value in values.items() if value}


@dataclasses.dataclass(frozen=True)
class _TagFile:
    """Tags one file in a worker, with errors and messages that name options as the command does."""

    wanted: Wanted
    options: tuple[str, ...]

    def __call__(self, predictor: Predictor, path: str, out: FileOutput) -> None:
        """Tag a file.

        Raises:
            TaggerError: an option does not fit the file, or it cannot be read or tagged.
        """
        with _as_in_command(self.options, path):
            tag_input(predictor, path, self.wanted, out)


@dataclasses.dataclass(frozen=True)
class _NameOf:
    """Names the output of a file: as the file, if it has the same format, otherwise with the ending of its own."""

    wanted: Wanted
    options: tuple[str, ...]
    manifest: Manifest

    def __call__(self, path: Path) -> str:
        """Return the name.

        Raises:
            TaggerError: the file cannot be opened, or an option does not fit it.
        """
        with _as_in_command(self.options, str(path)):
            source = self.wanted.source(str(path), self.manifest, lambda text: None)
        read = "conll" if source.format_ is None else source.format_.name
        written = output_format(self.wanted, source, self.manifest)
        name = path.name.removesuffix(".gz")
        suffixes = importlib.import_module(f"tagger.formats.{FORMAT_MODULES[written]}").FORMAT.suffixes
        is_named = read == written or name.casefold().endswith(suffixes)
        return name if is_named else f"{name}{suffixes[0]}"


@contextlib.contextmanager
def _as_in_command(options: Sequence[str], path: str) -> Iterator[None]:
    """Make errors and messages name the options of the command, where none runs."""
    command = click.Command("predict", params=[click.Option([name]) for name in options])
    with click.Context(command), keys_as_options():
        try:
            yield
        except click.ClickException as error:
            raise DataError(error.format_message(), path=path) from None


class _Progress(Watcher):
    """Shows what becomes of the files: lines, and on a terminal also how many are done.

    Args:
        source: the folder, as the user has named it.
        clock: returns the time in seconds.
    """

    def __init__(self, source: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._source, self._clock = source, clock
        self._console = StandardError.console()
        self._live = Live(console=self._console, get_renderable=lambda: self, transient=True)
        self._n = self._n_before = self._n_done = self._n_failed = 0
        self._since, self._last = clock(), clock()
        self._kinds: collections.Counter[str] = collections.Counter()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        self._console.print(console.laid_out(text), soft_wrap=True)

    def begin(self, n: int, n_done: int, n_workers: int) -> None:
        self._n, self._n_before, self._since = n, n_done, self._clock()
        before = f", {n_done:,} of them tagged before" if n_done else ""
        self.note(f"{counted(n, 'file')}{before}" + (f"; {counted(n_workers, 'worker')}" if n_workers else ""))

    def done(self, name: str, notes: Sequence[str]) -> None:
        self._n_done += 1
        name = visible(name)
        for text in notes:
            shown = visible(self._with_source(text))
            kind = re.sub(r"\d+", "0", shown.replace(name, ""))
            self._kinds[kind] += 1
            if self._kinds[kind] <= _SHOWN:
                self.note(shown if name in shown else f"{name}: {shown}")
        if self._clock() - self._last >= _EVERY and not self._console.is_terminal:
            self._last = self._clock()
            self.note(self._state())

    def failed(self, name: str, error: TaggerError) -> None:
        self._n_failed += 1
        if self._n_failed <= _MOST_ERRORS:
            message, *detail = map(self._with_source, (error.message, *error.detail))
            text = message if visible(name) in message else f"{self._source / name}: {message}"
            self._console.print(console.laid_out(f"error: {text}", *detail), soft_wrap=True)

    def end(self) -> None:
        """Show the numbers."""
        for n in (n - _SHOWN for n in self._kinds.values() if n > _SHOWN):
            self.note(f"{counted(n, 'message')} more of a kind that is shown above")
        if self._n_failed > _MOST_ERRORS:
            self.note(f"{self._n_failed - _MOST_ERRORS} more files could not be tagged")
        self.note(f"{counted(self._n_done, 'file')} tagged in {duration(self._clock() - self._since)}")

    def _with_source(self, text: str) -> str:
        shown, absolute = f"{self._source}{os.sep}", f"{self._source.absolute()}{os.sep}"
        return text.replace(absolute, shown).replace(visible(absolute), visible(shown))

    def _state(self) -> str:
        speed = self._n_done / max(1e-9, self._clock() - self._since)
        left = self._n - self._n_before - self._n_done - self._n_failed
        left_text = f", about {duration(left / speed)} left" if speed > 0 and left > 0 else ""
        return f"{self._n_before + self._n_done:,} of {self._n:,} files tagged{left_text}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._n:
            yield Text(self._state(), no_wrap=True, overflow="crop")
