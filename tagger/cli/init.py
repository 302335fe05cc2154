"""The command `tagger init`, and the config of a training that is given files instead of a config."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tagger.cli import console
from tagger.cli.options import require_corpus, require_packages, set_option
from tagger.errors import ConfigError, DataError
from tagger.wording import as_argument

if TYPE_CHECKING:
    from tagger.config.keys import Config
    from tagger.init.proposal import Proposal
    from tagger.init.roles import Roles

_SCHEMA = "tagger.schema.json"  # what `tagger config --schema` prints, under the name that the documentation gives it


@click.command()
@click.argument("files", type=click.Path(), nargs=-1, required=True, metavar="FILE [FILE]...")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    type=click.Path(),
    help="The config to write. Default: NAME.yaml; -: standard output.",
)
@set_option
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
def init(files: tuple[str, ...], output: str | None, settings: tuple[str, ...], force: bool) -> None:
    """Write a config that fits FILE, ready for `tagger train`.

    FILE is a corpus in any format, or a folder with one. Further files are dev and test files by their names; those
    beside a single training file are found. Shows three sentences as they are read. If the data look misread, nothing
    is written, and the error says how to decide with --set.
    """
    require_packages("pydantic", "yaml")
    from tagger.init.config_text import config_text
    from tagger.init.proposal import propose

    for file in files:
        console.refuse_own_output(file)
        require_corpus(
            file, model="name the corpus itself", config=f"to train with it: tagger train {as_argument(file)}"
        )
    if output is not None and (not output or "\0" in output):
        raise ConfigError(f"--output: found {output!r}, expected the name of a config; choose one")
    if output is not None and output != "-":
        _require_free(Path(output), files, force=force)
    proposal = propose(_roles(files, console.say), settings, console.say, lambda text: console.say(f"warning: {text}"))
    target = Path(output if output is not None else f"{proposal.name}.yaml")
    title = f"Written by tagger init. To train: tagger train {'THIS_FILE' if output == '-' else as_argument(target)}"
    if output == "-":
        console.write(config_text(proposal, Path(), title).encode())
        return
    _require_free(target, proposal.files, force=force)
    _show_choices(proposal, console.say)
    # An editor reads the schema without a network, so the line is written only where a schema is.
    schema = f"# yaml-language-server: $schema={_SCHEMA}\n" if (target.parent / _SCHEMA).is_file() else ""
    _write(target, schema + config_text(proposal, target.parent, title))
    console.say(f"the config is in {target}", f"next: tagger train {as_argument(target)}")


def given_config(
    files: Sequence[str],
    settings: Sequence[str],
    note: Callable[[str], None],
    *,
    trains: bool = True,
    begins_new: bool = True,
) -> tuple[Path | None, Config]:
    """Return the config that a training is given, and its file; that of other files is made as `tagger init` does.

    Args:
        note: called with what is read and chosen.
        trains: whether a training follows.
        begins_new: whether it begins with new weights, so that vectors are to be chosen.

    Raises:
        TaggerError: the config is not valid, or the files cannot be read.
    """
    shown = " ".join(map(as_argument, files))
    then = ", then loading TensorFlow, which takes some seconds" if trains else ""  # so do the next imports
    note(f"reading {shown}{then}")
    from tagger.config.file import is_config
    from tagger.config.keys import Config
    from tagger.config.loading import load_config

    configs = [file for file in files if is_config(Path(file), Config.model_fields)]
    if configs and len(files) > 1:
        other = next((file for file in files if file not in configs), configs[-1])
        raise click.UsageError(
            f"found the config {configs[0]} and {other}, expected one config, or only corpora; pass settings with --set"
        )
    if configs:
        return Path(files[0]), load_config(files[0], settings)
    from tagger.init.proposal import propose

    if "" in files:
        raise ConfigError("FILE: found an empty name, expected a config or a corpus; name it")
    if len(files) == 1 and not os.path.lexists(files[0]):
        raise ConfigError(f"{files[0]}: no such file, expected a config or a corpus; check the path")
    if len(files) == 1:
        note(f"{shown} is not a config, so it is read as data")
    # What was read is said by the training, which reads it again.
    proposal = propose(_roles(files, note), settings, lambda text: None, lambda text: None, begins_new=begins_new)
    _show_choices(proposal, note)
    more = "".join(f" --set {shlex.quote(setting)}" for setting in settings)
    note(f"to keep this as a config that you can edit: tagger init {shown}{more}")
    return None, proposal.config


def _roles(files: Sequence[str], note: Callable[[str], None]) -> Roles:
    from tagger.init.roles import find_roles

    roles = find_roles(files)
    for text in roles.notes:
        note(text)
    return roles


def _show_choices(proposal: Proposal, note: Callable[[str], None]) -> None:
    """Show the keys of a config that its files do not tell."""
    for section, keys in proposal.values.items():
        for key, value in keys.items():
            reason = " ".join(proposal.reasons.get(f"{section}.{key}", ()))
            if reason and key not in ("train", "columns"):
                note(f"{section}.{key}: {'null' if value is None else value}: {reason}")


def _require_free(target: Path, files: Sequence[str], *, force: bool) -> None:
    """Raise an error if writing the config would replace a file that it must not.

    Raises:
        ConfigError: the file exists and `force` is not set, or it is not a file.
        DataError: it is one of the files that are read.
    """
    if not os.path.lexists(target):
        return
    if any(target.exists() and Path(file).exists() and target.samefile(file) for file in files):
        raise DataError(f"{target}: is what is read, expected another name for the config; choose one with -o")
    if not target.is_file():
        raise ConfigError(f"{target}: is there and is not a file, expected a new name; choose another with -o")
    if not force:
        raise ConfigError(f"{target}: already exists, expected a new name; choose another with -o, or pass --force")


def _write(target: Path, text: str) -> None:
    from tagger.atomic import write_atomically

    try:
        write_atomically(target.resolve(), text.encode())
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror}; choose another place with -o") from None
