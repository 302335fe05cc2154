"""The command `tagger config`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tagger.cli import console
from tagger.cli.options import require_packages, set_option
from tagger.cli.suggestions import Commands
from tagger.wording import visible


@click.group(cls=Commands, invoke_without_command=True, no_args_is_help=True)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a config, for an editor.")
@click.pass_context
def config(context: click.Context, schema: bool) -> None:
    """Show what a config says, or what it may say."""
    if context.invoked_subcommand is not None and schema:
        raise click.UsageError(
            f"--schema: found it with {context.invoked_subcommand}, expected one of them; leave one out"
        )
    if context.invoked_subcommand is None:
        require_packages("pydantic", "yaml")
        from tagger.config.schema import config_schema

        console.write(f"{json.dumps(config_schema(), indent=2, ensure_ascii=False)}\n".encode())


@config.command()
@click.argument("config", type=click.Path(path_type=Path))
@set_option
def show(config: Path, settings: tuple[str, ...]) -> None:
    """Show every value of CONFIG, and where it comes from.

    Each key stands with its value and, as a comment, the file and line, or the --set, or that it is the default. The
    comment says too what training chooses later, from the data. The output is a config itself.
    """
    require_packages("pydantic", "yaml")
    from tagger.config.shown import shown_config

    console.write("".join(f"{visible(line)}\n" for line in shown_config(config, settings)).encode())
