"""Messages about commands and options that do not exist, with those that were probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

import click

from tagger.wording import as_argument

_MOST = 3  # names in a question


class Commands(click.Group):
    """A group of commands, in the order of definition, that suggests a command for one that does not exist."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # click would sort them

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name, the command and the arguments after it."""
        if args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            self._refuse(ctx, args[0])
        return super().resolve_command(ctx, args)

    def _refuse(self, ctx: click.Context, name: str) -> NoReturn:
        raise click.UsageError(
            f"{ctx.command_path} {as_argument(name)}: no such command; {_meant(name, self.commands, ctx)}", ctx
        )


def unknown_option(error: click.NoSuchOption) -> str:
    """Return the message about an option that a command does not have."""
    if error.ctx is None:
        return error.format_message()
    options = [
        name
        for option in error.ctx.command.get_params(error.ctx)
        if isinstance(option, click.Option) and not option.hidden
        for name in (*option.opts, *option.secondary_opts)
        if name.startswith("--")
    ]
    meant = _meant(error.option_name, options, error.ctx)
    return f"{error.ctx.command_path} {error.option_name}: no such option; {meant}"


def _meant(given: str, known: Iterable[str], context: click.Context) -> str:
    """Return a question with the names that begin with what was given, or else with the one that resembles it most."""
    import difflib

    bare = given.lstrip("-")
    names = {name.lstrip("-"): name for name in known}
    found = [name for name in names if bare and name.startswith(bare)] or difflib.get_close_matches(bare, names, n=1)
    shown = [names[name] for name in found[:_MOST]]
    if not shown:
        return f"{context.command_path} --help lists them"
    return f"did you mean {' or '.join([', '.join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)}?"
