"""The options that several commands share, and how they are interpreted."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import math
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagger.cli.completion import complete_key
from tagger.errors import DataError, ModelError, TaggerError
from tagger.filesystem import open_itself
from tagger.wording import with_options

if TYPE_CHECKING:
    from tagger.corpus.layout import Layout
    from tagger.model_dir.manifest import Manifest

MODEL_HELP = "Model directory. Default: $TAGGER_MODEL, else the model last trained in this folder."
_MODELS_HELP = f"{MODEL_HELP} Several times: each model, and their ensemble."
_CONFIG_BYTES = 1 << 17  # of a file that may be a config
_LAYOUT_OPTIONS = ("columns", "delimiter", "encoding")
# Key of the section `data` → the options for it, of which a command has the first one, another one, or none.
_OPTIONS = {
    **{name: (f"--{name}",) for name in (*_LAYOUT_OPTIONS, "names", "offsets", "align", "overlap", "language")},
    "format": ("--from",),
    "scheme": ("--from-scheme", "--scheme"),
}
_LONGEST_POINTER = 8192  # bytes
_NO_POINTER = "delete it, or name a model with --model"
POINTER = Path(".tagger-model")  # holds the path of the model last trained, relative to the folder


class SeveralValues(click.Command):
    """A command whose repeatable options take several values at once: `--teachers A B`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat such an option before each of its values; an argument that begins with `-` ends them.

        Raises:
            UsageError: such an option has no value, or has taken the only argument.
        """
        names = {
            name
            for option in self.params
            if isinstance(option, click.Option) and option.multiple and (option.metavar or "").endswith("...")
            for name in option.opts
        }
        end = args.index("--") if "--" in args else len(args)
        found, current, n_values, used = list[str](), "", 0, ""
        for argument in [*args[:end], "--"]:
            if argument.startswith("-") and argument != "-":
                if current and not n_values:
                    message = f"{current}: found no value, expected one or more; name them"
                    raise click.UsageError(message, ctx)
                name, equals, _ = argument.partition("=")
                current, n_values = name if name in names else "", len(equals)
                used = current or used
            elif current:
                n_values += 1
                if n_values > 1:
                    found.append(current)
            found.append(argument)
        try:
            return super().parse_args(ctx, [*found[:-1], *args[end:]])
        except click.MissingParameter as error:
            if not used or not isinstance(error.param, click.Argument):
                raise
            raise click.UsageError(
                f"{error.param.human_readable_name}: found none, expected it before {used}, which takes what follows"
                " up to the next option; put it first",
                ctx,
            ) from None


class Finite(click.FloatRange):
    """A number in a range; unlike click's, the range has neither `nan` nor `inf`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number.

        Raises:
            BadParameter: it is none, or outside of the range.
        """
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


def set_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option that sets keys of the config."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set a config key, e.g. training.epochs=5.",
        shell_complete=complete_key,
    )(command)


def engine_options(command: Callable[..., None], *, several: bool = False) -> Callable[..., None]:
    """Add the options that choose the model and the device that it runs on.

    Args:
        several: whether --model may be given more than once, as `model_dirs`.
    """
    model = (
        click.option("--model", "model_dirs", type=click.Path(), multiple=True, metavar="DIR", help=_MODELS_HELP)
        if several
        else click.option("--model", "model_dir", type=click.Path(), help=MODEL_HELP)
    )
    return _with_options(
        command,
        model,
        click.option(
            "--device",
            type=click.Choice(["cpu", "gpu"]),
            default="cpu",
            show_default=True,
            help="gpu needs onnxruntime-gpu.",
        ),
        click.option("--threads", type=click.IntRange(min=1), help="Cores to use. Default: all."),
    )


def layout_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that describe the layout of FILE, and make errors name them instead of keys of the config."""

    @functools.wraps(command)
    def naming_options(**arguments: Any) -> None:
        with keys_as_options():
            command(**arguments)

    return _with_options(
        naming_options,
        click.option("--columns", metavar="NAME=INDEX,...", help="Indexes of FILE's columns, e.g. token=0,tag=-1."),
        click.option("--delimiter", help="Separator of FILE's columns: auto, tab, space or any text."),
        click.option("--encoding", help="FILE's encoding."),
    )


def require_corpus(path: str, *, model: str, config: str, argument: str = "FILE") -> None:
    """Raise DataError if a model directory or a config stands where a corpus belongs.

    Args:
        model, config: how to name these two instead, for the message.
        argument: the name of the argument.
    """
    if not path:
        raise DataError(
            f"{argument}: found an empty name, expected a corpus; name it (is a variable of the shell empty?)"
        )
    place = Path(path)
    try:
        is_model = (place / "manifest.json").is_file()
        is_config = place.suffix in (".yaml", ".yml") and place.is_file() and _holds_data_section(place)
    except (OSError, ValueError):
        return  # opening it will say what is wrong
    if is_model:
        raise DataError(f"found a model directory, expected a corpus; {model}", path=path)
    if is_config:
        raise DataError(f"found a config, expected a corpus; {config}", path=path)


def _holds_data_section(path: Path) -> bool:
    with path.open("rb") as file:
        return re.search(rb"(?m)^data:", file.read(_CONFIG_BYTES)) is not None


def _with_options(command: Callable[..., None], *options: Callable[..., Any]) -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command


def chosen_layout(
    manifest: Manifest,
    also: tuple[str, ...] = (),
    /,
    *,
    columns: str | None,
    delimiter: str | None,
    encoding: str | None,
) -> Layout:
    """Return the training file's layout, changed by the options.

    Args:
        also: feature columns of another model, which may be named too although this model does not read them.
    """
    parsed = None if columns is None else parse_columns(columns)
    if parsed is not None:
        features = manifest.layout.feature_names
        parsed = {name: index for name, index in parsed.items() if name not in also or name in features}
        _check_features(parsed, features)
        if "token" in parsed:
            parsed.setdefault("tag", -1)  # the default, which one other column does not change
    given = {"columns": parsed, "delimiter": delimiter, "encoding": encoding}
    with options_named():
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(manifest.layout, **changes)


def _check_features(columns: dict[str, int], features: tuple[str, ...]) -> None:
    """Raise BadParameter unless `columns` has exactly the feature columns that the model was trained with."""
    for name in columns:
        if name not in ("token", "tag", *features):
            reads = f"token, tag and {', '.join(features)}" if features else "token and tag"
            raise click.BadParameter(
                f"found {name}={columns[name]}, expected the columns that the model knows: {reads}",
                param_hint="--columns",
            )
    for name in features:
        if name not in columns:
            raise click.BadParameter(
                f"found no {name}=INDEX, expected one: the model was trained with that column and needs it",
                param_hint="--columns",
            )


def with_own_options(text: str) -> str:
    """Return a message in which the options of the running command take the place of keys of the config."""
    own = {option for parameter in click.get_current_context().command.params for option in parameter.opts}
    found = {key: next((option for option in options if option in own), None) for key, options in _OPTIONS.items()}
    return with_options(text, {key: option for key, option in found.items() if option is not None})


@contextlib.contextmanager
def keys_as_options() -> Iterator[None]:
    """Make errors name the options of the running command instead of keys of the config."""
    try:
        yield
    except TaggerError as error:
        message, *detail = map(with_own_options, (error.message, *error.detail))
        raise TaggerError(message, detail=detail) from None


@contextlib.contextmanager
def options_named() -> Iterator[None]:
    """Make errors about a setting name the option that it came from."""
    try:
        yield
    except TaggerError as error:
        if re.match(rf"({'|'.join(_LAYOUT_OPTIONS)})\b", error.message):
            raise TaggerError(f"--{error.message}", detail=error.detail) from None
        raise


def parse_columns(text: str) -> dict[str, int]:
    """Parse the columns of an option: `token=0,pos=1,tag=-1` gives {"token": 0, "pos": 1, "tag": -1}."""
    columns = {}
    for part in text.split(","):
        name, equals, index = part.partition("=")
        try:
            columns[name.strip()] = int(index)
        except ValueError:
            equals = ""
        if not equals or not name.strip() or f"{name.strip()}=" in text[: text.index(part)]:
            raise click.BadParameter(
                f"found {part!r}, expected NAME=INDEX, each name only once, as in token=0,tag=-1",
                param_hint="--columns",
            )
    return columns


def named_or_last_model(given: str | None) -> Path:
    """Return the given model directory, else `$TAGGER_MODEL`, else the model last trained in this folder.

    Raises:
        ModelError: none of these exists, or the file that names the last model is not as `remember_model` wrote it.
    """
    named = given if given is not None else os.environ.get("TAGGER_MODEL")
    if named or given is not None:
        return Path(str(named))
    try:
        return _read_pointer()
    except FileNotFoundError:
        raise ModelError(
            "--model: found no model: the option and $TAGGER_MODEL are not set, and no training has finished in this"
            " folder; name a model with --model, or train one"
        ) from None
    except OSError as error:
        reason = "is a link, expected a file" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
        raise ModelError(f"{POINTER}: {reason}; {_NO_POINTER}") from None


def _read_pointer() -> Path:
    """Return the path in the pointer, which is never waited for: it could be a pipe, a device or a link elsewhere."""
    descriptor = open_itself(POINTER, os.O_RDONLY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ModelError(f"{POINTER}: is not a file, expected one with the path of a model; {_NO_POINTER}")
        content = os.read(descriptor, _LONGEST_POINTER + 1)
    finally:
        os.close(descriptor)
    path = content.removesuffix(b"\n")
    if not path or len(content) > _LONGEST_POINTER or set(path) & {0, ord("\n")}:
        found = f"more than {_LONGEST_POINTER} bytes" if len(content) > _LONGEST_POINTER else f"{len(content)} bytes"
        raise ModelError(f"{POINTER}: found {found}, expected one line with the path of a model; {_NO_POINTER}")
    return Path(os.fsdecode(path))


def remember_model(directory: str) -> None:
    """Record a directory, relative to this folder, as the model last trained.

    Raises:
        OSError: the record cannot be written.
    """
    from tagger.atomic import write_atomically

    write_atomically(POINTER, os.fsencode(f"{directory}\n"))


def require_packages(*packages: str) -> None:
    """Raise TaggerError if a package is missing, as it is in an installation for prediction only."""
    import importlib.util

    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise TaggerError(
                f"{package}: not installed, but this command needs it: this is an installation for prediction only;"
                " run pip install . in a clone of tagger to install everything"
            )
