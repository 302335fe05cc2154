"""The steps of one pretraining, from a tokenised text to a pretrained directory."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from tagger import __version__
from tagger.architecture import NetworkSpec
from tagger.config.pretraining import PretrainingConfig
from tagger.errors import ConfigError, DataError, TaggerError
from tagger.inputs.batching import prefetch
from tagger.inputs.vocabulary import UNK_ID, Normalization
from tagger.model_dir.checkpoints import State
from tagger.model_dir.pretrained import Pretrained, publish_pretrained
from tagger.network.devices import on_cpu
from tagger.network.distributed import Replicas
from tagger.network.language_model import LanguageModels
from tagger.network.language_model_trainer import FixedRows, LanguageModelTrainer, Perplexities
from tagger.pretraining.streams import Streams
from tagger.pretraining.text_file import TextFile
from tagger.pretraining.vectors import KnownVectors
from tagger.pretraining.windows import TextVocabulary, Windows, build_text_vocabulary
from tagger.vectors.matching import has_vector
from tagger.vectors.table import Vectors
from tagger.wording import counted

KIND, FORMAT = "pretraining", 1  # of the states
_WARM_UP = 200  # steps until the learning rate is reached
_LAST_RATE = 0.02  # of the learning rate, at the end
_REPORTS = 20  # of a whole pretraining, each with the perplexity on held-out text
_MOST_HELD_OUT = 100_000  # tokens
_HELD_OUT_STREAMS, _HELD_OUT_STEPS, _MOST_HELD_OUT_WINDOWS = 16, 64, 20


@dataclasses.dataclass(frozen=True)
class Report:
    """The state of a pretraining after some steps.

    Attributes:
        step, n_steps: the steps that are done, of all.
        epoch: the epoch that is being trained, from 1.
        loss: the mean loss per prediction since the last report, in nats.
        forward, backward: the perplexities on held-out text.
        tokens_per_second: the speed since the last report.
        seconds: the time since the beginning.
    """

    step: int
    n_steps: int
    epoch: int
    loss: float
    forward: float
    backward: float
    tokens_per_second: float
    seconds: float


class PretrainingListener(Protocol):
    """An object that is told what happens in a pretraining."""

    def note(self, text: str) -> None:
        """Report something that was found or decided."""

    def warn(self, text: str) -> None:
        """Report something that is odd but not an error."""

    def tokens(self, n: int) -> None:
        """Report that some more tokens were cut from the text."""

    def step(self, step: int, n_steps: int, tokens_per_second: float) -> None:
        """Report that a step is done."""

    def report(self, report: Report) -> None:
        """Report the perplexities on held-out text."""


@dataclasses.dataclass(frozen=True)
class PretrainingOutcome:
    """How a pretraining ended: whether it was stopped, and its last report, if it has one."""

    stopped: bool
    last: Report | None


class _Stopped(Exception):  # noqa: N818 (a request, not an error)
    """The user asked to stop."""


class PretrainingDivergedError(TaggerError):
    """The loss or a weight is not a number any more.

    Attributes:
        step, loss: the last step, and its loss.
    """

    def __init__(self, step: int, loss: float, remedy: str) -> None:
        super().__init__(f"step {step}: found a loss of {loss}: training diverged; {remedy}")
        self.step, self.loss = step, loss


class Run:
    """The steps of one pretraining.

    Args:
        config: the settings.
        text: the text to learn from.
        vectors: the vectors that the embedding begins with.
        listener: hears what happens.
        should_stop: says whether the user asked to stop.
        replicas: the devices that train.
        threads: the number of TensorFlow's threads.
        save: keeps a state; None: an interrupted pretraining cannot be continued.
        facts: what is known about the text and the settings, for the result and the states.
    """

    def __init__(
        self,
        config: PretrainingConfig,
        text: TextFile,
        vectors: Vectors | None,
        listener: PretrainingListener,
        should_stop: Callable[[], bool],
        replicas: Replicas,
        *,
        threads: int,
        save: Callable[[State], None] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self._config, self._listener, self._save, self._facts = config, listener, save, facts or {}
        self._should_stop, self._replicas, self._threads, self._text = should_stop, replicas, threads, text
        self._spec = config.model.spec()
        self._vocabulary = vocabulary_of(text, config, vectors)
        self._vectors: KnownVectors | None = None
        if vectors is not None:
            tokens = self._vocabulary.encoder.tokens
            self._vectors = KnownVectors.of(tokens, vectors, config.embeddings.max_rows)
        self._windows, self._held_out = _split(config, text, self._vocabulary)
        self._trainer = _trainer(config, self._spec, self._vocabulary, self._vectors, replicas)
        self._at, self._losses, self._history = 0, list[float](), list[Report]()
        self._seconds, self._since = 0.0, time.monotonic()
        self._last_state = time.monotonic()
        self._describe()

    def _describe(self) -> None:
        vocabulary, text = self._vocabulary, self._text
        unknown = text.counts[vocabulary.ids == UNK_ID].sum() / max(1, text.n_tokens)
        self._listener.note(
            f"text: {text.n_tokens:,} tokens, {len(text.forms):,} distinct; {len(vocabulary.encoder.tokens):,} ids"
            f" ({100 * unknown:.1f} % of the text is unknown)"
        )
        if self._replicas.n > 1:
            self._listener.note(f"{self._replicas.n} workers; the streams of the text are divided among them")
        if self._vectors is not None:
            for note in self._vectors.notes():
                self._listener.note(f"vectors: {note}")
        self._listener.note(
            f"{counted(self._n_steps, 'step')} of {self._windows.streams.n_tokens} tokens in each direction, in"
            f" {counted(self._config.training.epochs, 'epoch')}; CPU, {counted(self._threads, 'thread')}"
        )

    @property
    def _n_steps(self) -> int:
        return self._config.training.epochs * len(self._windows)

    def restore(self, state: State) -> None:
        """Continue from a state.

        Raises:
            ConfigError: the state belongs to other models.
        """
        record = state.record
        try:
            self._trainer.restore(state.arrays)
            self._history = [Report(**values) for values in record["history"]]
            self._at, self._losses, self._seconds = record["step"], list(record["losses"]), record["seconds"]
        except (ValueError, TypeError, LookupError) as error:
            raise ConfigError(
                f"--resume: found a state that does not fit: {error}, expected one of this pretraining; delete the"
                " directory of the states to start over"
            ) from None
        self._listener.note(f"continuing after {self._at:,} of {self._n_steps:,} steps")

    def train(self) -> PretrainingOutcome:
        """Train to the end, or until asked to stop."""
        self._since = time.monotonic()
        try:
            self._train()
        except _Stopped:
            self.save_state()
            return PretrainingOutcome(stopped=True, last=self._history[-1] if self._history else None)
        return PretrainingOutcome(stopped=False, last=self._history[-1])

    def publish(self, output: Path) -> None:
        """Write the directory."""
        publish_pretrained(output, self.result().files(_format_history(self._history)))

    def _train(self) -> None:
        n_windows, n_tokens = len(self._windows), self._windows.streams.n_tokens
        minutes = self._config.training.checkpoint_minutes
        begin, first = time.monotonic(), self._at
        while self._at < self._n_steps:
            epoch, step = divmod(self._at, n_windows)
            if step == 0:
                self._trainer.reset_states()
            for window in prefetch(self._windows.from_step(epoch, step)):
                loss, is_last = self._trainer.train_step(window, self._rate(), stop=self._should_stop())
                self._losses.append(loss)
                self._at += 1
                speed = (self._at - first) * n_tokens / (time.monotonic() - begin)
                self._listener.step(self._at, self._n_steps, speed)
                if not math.isfinite(self._losses[-1]):
                    raise self._diverged()
                if self._at % max(1, -(-self._n_steps // _REPORTS)) == 0 or self._at == self._n_steps:
                    self._report(epoch + 1, speed)
                    begin, first = time.monotonic(), self._at
                if minutes is not None and time.monotonic() - self._last_state >= 60 * minutes:
                    self.save_state()
                if is_last:
                    raise _Stopped

    def _rate(self) -> float:
        """Return the learning rate of the next step: it rises for some steps, then falls linearly."""
        rise = min(1.0, (self._at + 1) / _WARM_UP)
        fall = max(_LAST_RATE, 1.0 - self._at / self._n_steps)
        return self._config.training.learning_rate * rise * fall

    def _diverged(self) -> PretrainingDivergedError:
        remedy = "lower training.learning_rate"
        if self._vectors is not None:
            remedy += f", or scale the vectors, which hold {self._vectors.describe_range()}"
        return PretrainingDivergedError(self._at, self._losses[-1], remedy)

    def _report(self, epoch: int, speed: float) -> None:
        if not self._trainer.check_weights():
            raise self._diverged()
        self._trainer.check_replicas()
        found = self._perplexities()
        loss, self._losses = math.fsum(self._losses) / len(self._losses), []
        self._history.append(Report(self._at, self._n_steps, epoch, loss, *found, speed, self._elapsed()))
        self._listener.report(self._history[-1])

    def _perplexities(self) -> Perplexities:
        n = min(len(self._held_out), _MOST_HELD_OUT_WINDOWS)
        return self._trainer.perplexities(self._held_out.window(0, i) for i in range(n))

    def _elapsed(self) -> float:
        return self._seconds + time.monotonic() - self._since

    def save_state(self) -> None:
        """Save a state, if there is a place for it."""
        if self._save is None or not self._replicas.task.is_chief:
            return
        record = {
            "kind": KIND,
            "format": FORMAT,
            "facts": self._facts,
            "threads": self._threads,
            "step": self._at,
            "losses": self._losses,
            "history": [dataclasses.asdict(report) for report in self._history],
            "seconds": self._elapsed(),
            "finished": False,
        }
        self._save(State(record, self._trainer.state()))
        self._last_state = time.monotonic()

    def result(self) -> Pretrained:
        """Return what the language models have learned, at the end."""
        packages = {name: version(name) for name in ("tensorflow", "keras", "numpy")}
        last = self._history[-1]
        facts = {
            **self._facts,
            "tokens": self._text.n_tokens,
            "perplexity": {"forward": last.forward, "backward": last.backward},
        }
        versions = {"tagger": __version__, "python": platform.python_version(), **packages}
        encoder, weights = self._vocabulary.encoder, self._trainer.weights()
        if self._vectors is not None:
            tokens, weights["embedding"] = self._vectors.joined(weights["embedding"])
            encoder = dataclasses.replace(encoder, tokens=tokens)
        return Pretrained(encoder, self._spec, weights, facts, versions)


def vocabulary_of(text: TextFile, config: PretrainingConfig, vectors: Vectors | None = None) -> TextVocabulary:
    """Return what the language models of a config know about a text."""
    settings = config.vocabulary
    return build_text_vocabulary(
        text,
        config.model.spec(),
        Normalization(settings.lowercase, settings.normalize_digits),
        min_count=settings.min_count,
        max_size=settings.max_size,
        is_known=lambda token: vectors is not None and has_vector(token, vectors),
    )


def _split(config: PretrainingConfig, text: TextFile, vocabulary: TextVocabulary) -> tuple[Windows, Windows]:
    """Return the windows of the text to train on, and those of the held-out text, which is its end.

    Raises:
        DataError: there is too little text.
    """
    settings, numbers = config.training, text.numbers
    n_held_out = min(_MOST_HELD_OUT, round(settings.held_out * len(numbers)))
    n_streams = max(1, min(_HELD_OUT_STREAMS, n_held_out // (_HELD_OUT_STEPS + 1)))
    n_steps = max(1, min(_HELD_OUT_STEPS, n_held_out // n_streams - 1))
    try:
        held_out = Streams(numbers[len(numbers) - n_held_out :], n_streams, n_steps, settings.seed)
        train = Streams(numbers[: len(numbers) - n_held_out], settings.streams, settings.steps, settings.seed)
    except ValueError as error:
        raise DataError(
            f"RAW: {error}, from {len(numbers)} tokens and ends of sentences, of which {n_held_out} are held out; add"
            " text, or set fewer training.streams, fewer training.steps or another training.held_out"
        ) from None
    return Windows(vocabulary, train, settings.samples), Windows(vocabulary, held_out, 1)


def _trainer(
    config: PretrainingConfig,
    spec: NetworkSpec,
    vocabulary: TextVocabulary,
    vectors: KnownVectors | None,
    replicas: Replicas,
) -> LanguageModelTrainer:
    settings, fixed = config.training, None
    with on_cpu() if replicas.n == 1 else replicas.scope():
        models = LanguageModels(spec, vocabulary.sizes, resets=settings.reset_states, seed=settings.seed)
        if vectors is not None:
            models.embedding.assign(vectors.assigned_to(models.embedding.numpy()))
            if not config.embeddings.trainable:
                fixed = FixedRows(vectors.has_vector, vectors.dim)
        return LanguageModelTrainer(models, vocabulary.frequencies, settings.streams, fixed, replicas)


def _format_history(history: Sequence[Report]) -> str:
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow([field.name for field in dataclasses.fields(Report)])
    for report in history:
        writer.writerow(
            [f"{value:.6g}" if isinstance(value, float) else value for value in dataclasses.astuple(report)]
        )
    return output.getvalue()
