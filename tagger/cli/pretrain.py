"""The command `tagger pretrain`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagger.cli import console
from tagger.cli.options import require_packages, set_option, with_own_options
from tagger.cli.raw import raw_options, raw_settings
from tagger.filesystem import relative_path
from tagger.wording import as_argument, duration

if TYPE_CHECKING:
    from tagger.pretraining.run import Report

_SECONDS = 30.0  # between two lines about progress


@click.command()
@click.argument("raw", type=click.Path(), nargs=-1, required=True, metavar="RAW [RAW]...")
@click.option("-o", "--output", type=click.Path(), required=True, metavar="DIR", help="Directory for the result.")
@set_option
@click.option("--resume", is_flag=True, help="Continue an interrupted pretraining, or start one.")
@click.option("--force", is_flag=True, help="Replace a pretrained directory that is already there.")
@click.option("--keep-text", is_flag=True, help="Keep the tokenised text, in DIR.text, for another pretraining.")
@click.option("--quiet", is_flag=True, help="Show only warnings, errors and, at the end, the perplexities.")
@raw_options
def pretrain(
    raw: tuple[str, ...],
    output: str,
    settings: tuple[str, ...],
    resume: bool,
    force: bool,
    keep_text: bool,
    quiet: bool,
    **reading: Any,
) -> None:
    """Pretrain a network on text without labels.

    RAW is raw text, or anything else that tagger convert reads, whose tokens are taken as they are. The embedding, the
    character network and both branches learn to predict the next and the previous token. `tagger train --set
    model.pretrained=DIR` then begins with them.
    """
    start = time.monotonic()
    require_packages("tensorflow", "pydantic")
    from tagger.config.pretraining import pretraining_config_of
    from tagger.network.distributed import read_task
    from tagger.pretraining.pretrain import pretrain as run

    how = raw_settings(raw, **reading)
    config, is_chief = pretraining_config_of(settings), read_task().is_chief
    with console.StopRequest() as stop:
        outcome = run(
            raw, Path(output), config, _Progress(stop.begin, quiet=quiet, is_chief=is_chief),
            reading=how, resume=resume, force=force, keep_text=keep_text, should_stop=stop.requested,
        )  # fmt: skip
    if outcome.last is not None and is_chief:
        last = outcome.last
        console.say(f"perplexity on held-out text: {_shown(last.forward)} forward, {_shown(last.backward)} backward")
    if outcome.stopped:
        console.say("to continue the pretraining, give the same command with --resume")
        click.get_current_context().exit(stop.exit_code or console.INTERRUPTED)
    place = relative_path(output)
    if not is_chief and not quiet:
        console.say("the result is written by the chief worker")
    elif not quiet:
        console.say(f"it took {duration(time.monotonic() - start)}; the result is in {place}")
        console.say(f"next: tagger train CONFIG --set model.pretrained={as_argument(place)}")


def _shown(perplexity: float) -> str:
    return f"{perplexity:.1f}" if perplexity < 1e6 else f"{perplexity:.3g}"


class _Progress:
    """A `pretraining.pretrain.PretrainingListener` that prints.

    Args:
        on_begin: called after each step; the first call marks the beginning of the training.
        quiet: show nothing but warnings.
        is_chief: show the progress; of several workers only the chief does, and the others show what they read.
    """

    def __init__(self, on_begin: Callable[[], None], *, quiet: bool, is_chief: bool = True) -> None:
        self._on_begin, self._quiet, self._is_chief, self._n_tokens = on_begin, quiet, is_chief, 0
        self._last = time.monotonic()

    def note(self, text: str) -> None:
        if not self._quiet:
            console.say(with_own_options(text))

    def warn(self, text: str) -> None:
        console.say(f"warning: {text}")

    def tokens(self, n: int) -> None:
        self._n_tokens += n
        if self._is_time():
            self.note(f"tokenising: {self._n_tokens:,} tokens")

    def step(self, step: int, n_steps: int, tokens_per_second: float) -> None:
        self._on_begin()
        if self._is_chief and self._is_time():
            self.note(f"step {step:,} of {n_steps:,} · {tokens_per_second:,.0f} tokens/s")

    def report(self, report: Report) -> None:
        self._last = time.monotonic()
        if not self._is_chief:
            return
        self.note(
            f"step {report.step:,} of {report.n_steps:,} · loss {report.loss:.3f} · perplexity {_shown(report.forward)}"
            f" forward, {_shown(report.backward)} backward · {report.tokens_per_second:,.0f} tokens/s"
        )

    def _is_time(self) -> bool:
        now = time.monotonic()
        due = now - self._last >= _SECONDS
        if due:
            self._last = now
        return due
