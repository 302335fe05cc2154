"""The command `tagger vectors`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import click

from tagger.cli import console
from tagger.cli.options import with_own_options
from tagger.cli.raw import raw_options, raw_settings

if TYPE_CHECKING:
    from tagger.inputs.vocabulary import Normalization
    from tagger.vectors.learning import StoredText
    from tagger.vectors.table import Vectors

_SHOWN_EVERY = 0.1  # seconds


@click.command()
@click.argument("raw", type=click.Path(), nargs=-1, required=True, metavar="RAW [RAW]...")
@click.option("-o", "--output", "out", metavar="OUT", required=True, help="Array to write, e.g. vectors.npy.")
@click.option(
    "--algorithm",
    type=click.Choice(["skip-gram", "cbow", "fasttext"]),
    default="skip-gram",
    show_default=True,
    help="skip-gram is better for rare tokens, cbow four times as fast; fasttext also learns from parts of tokens.",
)
@click.option("--size", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Length of each vector.")
@click.option(
    "--window", type=click.IntRange(1, 1000), default=5, show_default=True, help="Tokens of context on each side."
)
@click.option(
    "--min-count",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How often a token must occur to get a vector.",
)
@click.option(
    "--epochs", type=click.IntRange(1, 10_000), default=5, show_default=True, help="How often the text is read."
)
@click.option(
    "--lowercase/--no-lowercase", default=False, show_default=True, help="Lower-case tokens before anything else."
)
@click.option(
    "--normalize-digits/--no-normalize-digits",
    default=True,
    show_default=True,
    help="Replace each digit with 0 before anything else.",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True, help="Seed of random draws.")
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Threads that learn. With more than one, no two results are equal.",
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@raw_options
def vectors(
    raw: tuple[str, ...],
    out: str,
    lowercase: bool,
    normalize_digits: bool,
    force: bool,
    **options: Any,
) -> None:
    """Learn word vectors from text without labels.

    RAW is raw text, or anything else that tagger convert reads, whose tokens are taken as they are. OUT is an array;
    its tokens are beside it in a file that ends in .txt. embeddings.path: OUT uses them.
    """
    from tagger.formats.raw_sentences import raw_sentences
    from tagger.inputs.vocabulary import Normalization
    from tagger.vectors.learning import LearningSettings, learn_vectors, require_library
    from tagger.vectors.writing import reserved, vocabulary_of, write_vectors

    names = {field.name for field in dataclasses.fields(LearningSettings)}
    learning = {name: options.pop(name) for name in names & options.keys()}
    how = raw_settings(raw, **options)
    settings = LearningSettings(normalization=Normalization(lowercase, normalize_digits), **learning)
    with console.leaving_at_once():
        require_library()
    with reserved(out, raw, force=force) as place:
        with _Progress(settings.epochs) as progress:
            sentences = raw_sentences(raw, how, lambda text: progress.say(with_own_options(text)))
            found = learn_vectors(sentences, settings, progress)
        write_vectors(found, place)
    for text in _summary(found, settings.normalization):
        console.say(text)
    console.say(f"the vectors are in {out}, and their tokens in {vocabulary_of(place).name} beside it")


def _summary(found: Vectors, normalization: Normalization) -> list[str]:
    """Return what was learned, and how `embeddings` finds it."""
    lower, digits = normalization.lowercase, normalization.normalize_digits
    ways = ["in lower case" if lower else "exactly, else in lower case", *(["with digits as 0"] if digits else [])]
    if not lower:
        ways[-1] += "; with vocabulary.lowercase, use --lowercase"
    return [
        *(f"note: {note}" for note in found.notes),
        f"{len(found):,} vectors of {found.dim} numbers; embeddings.path finds a token {', and '.join(ways)}",
    ]


class _Progress:
    """A `vectors.learning.Listener` that shows how far it is: lines, and on a terminal a bar below them.

    Args:
        epochs: the number of epochs.
        clock: returns the time in seconds.
    """

    def __init__(self, epochs: int, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        from tagger.cli.progress import StandardError

        self._epochs, self._clock, self._console = epochs, clock, StandardError.console()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("reading", total=None, done="")
        self._begun, self._shown, self._n_tokens, self._epoch = clock(), 0.0, 0, 1

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        self._console.print(console.laid_out(text), soft_wrap=True)

    def read(self, n_tokens: int) -> None:
        self._show(n_tokens, f"{n_tokens:,} tokens")

    def stored(self, text: StoredText) -> None:
        self._n_tokens = text.n_tokens
        self.say(
            f"read {text.n_tokens:,} tokens, {len(text.counts):,} distinct ones, in {text.n_sentences:,} sentences"
            f" ({self._speed(text.n_tokens)})"
        )
        self._bar.update(self._task, total=self._epochs * text.n_tokens, description="learning")

    def learn(self, epoch: int, n_tokens: int) -> None:
        if epoch > self._epoch:
            self._end_epoch()
        self._epoch = epoch
        self._show((epoch - 1) * self._n_tokens + n_tokens, f"epoch {epoch} of {self._epochs}")
        if epoch == self._epochs and n_tokens == self._n_tokens:
            self._end_epoch()

    def _end_epoch(self) -> None:
        self.say(f"epoch {self._epoch} of {self._epochs}: {self._speed(self._n_tokens)}")

    def _speed(self, n_tokens: int) -> str:
        """Return the speed since the last call."""
        before, self._begun = self._begun, self._clock()
        return f"{n_tokens / max(1e-9, self._begun - before):,.0f} tokens/s"

    def _show(self, completed: int, done: str) -> None:
        if self._clock() - self._shown >= _SHOWN_EVERY:
            self._shown = self._clock()
            self._bar.update(self._task, completed=completed, done=done)
