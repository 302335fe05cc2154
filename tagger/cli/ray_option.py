"""The option --ray, and what fits to it."""

from __future__ import annotations

from collections.abc import Mapping

import click

ray_option = click.option(
    "--ray",
    metavar="local|ADDRESS",
    help="Use a Ray cluster: one of this machine, or that of an address. See docs/scale.md.",
)


def refuse_without_ray(out_dir: str | None, workers: int | None) -> None:
    """Raise UsageError if something is given that only --ray has a use for."""
    if out_dir is not None:
        raise click.UsageError(
            f"OUT_DIR: found {out_dir} without --ray, expected one FILE, which goes to standard output; to tag a"
            " folder, add --ray local"
        )
    if workers is not None:
        raise click.UsageError("--workers: found it without --ray, expected --threads; or add --ray local")


def folders_for_ray(file: str, out_dir: str | None, alone: Mapping[str, bool]) -> tuple[str, str]:
    """Return the folders of the inputs and of the outputs.

    Args:
        alone: options that do not fit to --ray → whether they are given.

    Raises:
        UsageError: one of the folders is missing, or such an option is given.
    """
    if out_dir is None or file == "-":
        raise click.UsageError(
            "--ray: found no two folders, expected that of the files to tag and that of the outputs: tagger predict"
            " --ray local IN_DIR OUT_DIR"
        )
    for name, is_given in alone.items():
        if is_given:
            instead = "; use --workers" if name == "--threads" else "; leave it out"
            raise click.UsageError(f"{name}: found it with --ray, whose workers have one core each{instead}")
    return file, out_dir
