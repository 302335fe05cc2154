"""Write the man pages of `tagger` and of each command, from the same texts as `--help`.

python scripts/make_man_pages.py FOLDER        # writes FOLDER/tagger.1, FOLDER/tagger-train.1, …

Building a wheel does the same (hatch_build.py), so that installing it puts the pages into share/man/man1.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from tagger import __version__
from tagger.cli.commands import cli

# The macro characters of roff, and those for which it would print a typographic sign.
_ESCAPES = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
_EXIT_CODES = {
    0: "Done, or the reader of the output has closed the pipe.",
    1: "An error; its first line says what is wrong and what to do.",
    2: "The command line is wrong.",
    130: "Stopped by Ctrl-C.",
    143: "Stopped by SIGTERM.",
}


def pages() -> dict[str, str]:
    """Return the content of each page by the name of its file."""
    found = {}
    for context in contexts():
        found[f"{name_of(context)}.1"] = page(context)
    return found


def contexts(context: click.Context | None = None) -> Iterator[click.Context]:
    """Yield the context of a command, by default of `tagger`, and those of all commands below it."""
    context = context or click.Context(cli, info_name="tagger", **cli.context_settings)
    yield context
    if isinstance(context.command, click.Group):
        for name, command in context.command.commands.items():
            if not command.hidden:
                yield from contexts(click.Context(command, parent=context, info_name=name))


def name_of(context: click.Context) -> str:
    """Return the name of the page of a command, such as `tagger-config-show`."""
    return context.command_path.replace(" ", "-")


def page(context: click.Context) -> str:
    """Return the man page of a command."""
    command, name = context.command, name_of(context)
    usage = " ".join(command.collect_usage_pieces(context))
    # Without a date, so that two builds are equal.
    lines = [f'.TH "{text(name.upper())}" 1 "" "tagger {__version__}" "tagger"']
    lines += [".SH NAME", f"{text(name)} \\- {text(command.get_short_help_str(1000).rstrip('.'))}"]
    lines += [".SH SYNOPSIS", f"\\fB{text(context.command_path)}\\fR {text(usage)}"]
    lines += [".SH DESCRIPTION", *paragraphs(command.help or "")]
    options = [
        record
        for option in command.get_params(context)
        if isinstance(option, click.Option) and (record := option.get_help_record(context))
    ]
    lines += [".SH OPTIONS", *(line for record in options for line in described(*record))]
    below = list(contexts(context))[1:]
    if isinstance(command, click.Group):
        lines += [".SH COMMANDS"]
        for one in below:
            if one.parent is context:
                lines += described(str(one.info_name), one.command.get_short_help_str(1000))
    lines += [".SH EXIT STATUS"]
    for code, meaning in _EXIT_CODES.items():
        lines += described(str(code), meaning)
    others = [*([context.parent] if context.parent else []), *below]
    if others:
        names = sorted({name_of(one) for one in others})
        lines += [".SH SEE ALSO", ",\n".join(f"\\fB{text(other)}\\fR(1)" for other in names)]
    return "\n".join(lines) + "\n"


def described(term: str, description: str) -> list[str]:
    """Return an entry of a list; the first word of the term is bold, and so are the other names of an option."""
    names = re.sub(r"(?<![\w-])-{1,2}[a-zA-Z][\w-]*|^\w+", lambda match: f"\0{match[0]}\1", term)
    return [".TP", text(names).replace("\0", r"\fB").replace("\1", r"\fR"), *(paragraphs(description) or [r"\&"])]


def paragraphs(help_text: str) -> list[str]:
    """Return the paragraphs of a help text; click marks those whose lines are kept with a backspace."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(help_text)):
        kept = paragraph.startswith("\b\n")
        if lines:
            lines.append(".PP")
        if kept:
            lines += [".nf", *map(text, paragraph.split("\n")[1:]), ".fi"]
        elif paragraph.strip():
            lines.append(text(" ".join(paragraph.split())))
    return lines


def text(plain: str) -> str:
    """Return text as roff shows it unchanged."""
    escaped = "".join(_ESCAPES.get(character, character) for character in plain)
    return f"\\&{escaped}" if escaped.startswith(".") else escaped  # a line that begins with a dot is a macro


def write(folder: Path) -> list[Path]:
    """Write all pages to a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages().items():
        (folder / name).write_text(content, "utf-8", newline="\n")
    return sorted(folder.glob("*.1"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder to write to, such as dist/man/man1")
    write(parser.parse_args().folder)
