"""One pretraining, from raw text to a pretrained directory."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import math
import platform
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from tagger import __version__
from tagger.architecture import SIZE, NetworkSpec
from tagger.config.pretraining import PretrainingConfig
from tagger.errors import ConfigError, DataError, DeviceError, ModelError, TaggerError
from tagger.formats.raw_sentences import RawSettings
from tagger.inputs.batching import prefetch
from tagger.inputs.vocabulary import Normalization
from tagger.model_dir.pretrained import Pretrained, check_pretrained_place, publish_pretrained
from tagger.network.devices import choose_device, device_errors_explained, make_deterministic, on_cpu
from tagger.network.distributed import Replicas, connect, meet, read_task
from tagger.network.language_model import LanguageModels
from tagger.network.language_model_trainer import LanguageModelTrainer, Perplexities
from tagger.pretraining.described_text import describe
from tagger.pretraining.initial_vectors import InitialVectors, described
from tagger.pretraining.streams import Streams
from tagger.pretraining.text_file import TextFile, place_of, remove, tokenise
from tagger.pretraining.windows import TextVocabulary, Windows, build_text_vocabulary
from tagger.training.checkpoints import Checkpoints, State
from tagger.vectors.table import Vectors, read_path_or_name
from tagger.wording import counted

_KIND, _FORMAT = "pretraining", 1  # of the states
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


def pretrain(
    paths: Sequence[str],
    output: Path,
    config: PretrainingConfig,
    listener: PretrainingListener,
    *,
    reading: RawSettings,
    resume: bool = False,
    force: bool = False,
    keep_text: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> PretrainingOutcome:
    """Pretrain on raw text and write the pretrained directory in one step at the end.

    Args:
        paths: the files of text.
        output: the directory to write; unfinished states are beside it.
        reading: how to read them.
        resume: continue an interrupted pretraining, bit for bit; start one if there is nothing to continue.
        force: replace a pretrained directory that is already there.
        keep_text: keep the tokenised text for another pretraining.

    Raises:
        TaggerError: the text, the settings or the place is unusable, or training diverged.
    """
    task, checkpoints = read_task(), Checkpoints(output)
    vectors = read_path_or_name(config.embeddings.path, config.embeddings.name)
    config = _with_size_of(vectors, config)
    told = describe(paths, reading)
    facts = {"settings": config.settings(), "text": told, "vectors": described(vectors)}
    place, state, text, is_finished = place_of(output, task.index), None, None, False
    with contextlib.ExitStack() as stack:
        stack.enter_context(_output_named())
        if task.is_chief:
            check_pretrained_place(output)
            stack.enter_context(checkpoints.lock())
            state = _state_to_begin_with(checkpoints, listener, resume=resume)
            if state is not None:
                _check_same(state.record, facts, checkpoints.directory)
            else:
                is_finished = _is_finished(output, facts, resume=resume, force=force)
        if not is_finished:
            text = tokenise(
                paths, reading, place, told, say=listener.note, on_tokens=listener.tokens, should_stop=should_stop
            )
            if text is None:
                return PretrainingOutcome(stopped=True, last=None)
        # Another number of threads would round sums differently.
        threads = config.training.threads if state is None else state.record["threads"]
        device = choose_device("cpu", threads=threads)
        make_deterministic()
        if len(task.workers) > 1:
            names = ", ".join(task.workers)
            listener.note(f"worker {task.index} of {len(task.workers)}: {names}; waiting for all of them")
            if not meet(task.workers, task.index, should_stop):
                return PretrainingOutcome(stopped=True, last=None)
        stack.enter_context(device_errors_explained(n_workers=len(task.workers)))
        replicas = connect(task, 0)
        if replicas.any(is_finished) or text is None:
            listener.note("this pretraining is already finished; there is nothing left to do")
            outcome = PretrainingOutcome(stopped=False, last=None)
        else:
            _check_workers(replicas, config, facts)
            state = State.of_chief(state, replicas)
            run = _Run(
                config, text, vectors, listener, checkpoints, facts, should_stop, replicas, threads=device.threads
            )
            if state is not None:
                run.restore(state)
            outcome = run.run(output)
    if not outcome.stopped and not keep_text:
        remove(place)
    return outcome


def _is_finished(output: Path, facts: Mapping[str, Any], *, resume: bool, force: bool) -> bool:
    """Return whether a pretraining to resume has ended already.

    Raises:
        ConfigError: there is a directory that may not be replaced.
    """
    if not output.exists():
        return False
    if resume and _is_result_of(output, facts):
        return True
    if not force:
        raise ConfigError(
            f"{output}: found a pretrained directory, expected a new one; name another with -o, or pass --force to"
            " replace it"
        )
    return False


def _check_workers(replicas: Replicas, config: PretrainingConfig, facts: Mapping[str, Any]) -> None:
    """Raise an error if another worker has another text or other settings, or if one would have nothing to do."""
    if not replicas.are_same(zlib.crc32(json.dumps(_decisive(facts), sort_keys=True).encode())):
        raise DeviceError(
            f"TF_CONFIG: worker {replicas.task.index} and another have different texts or settings, expected the same;"
            " give all of them the same files and --set"
        )
    if config.training.streams < replicas.n:
        raise ConfigError(
            f"--set training.streams: found {config.training.streams}, expected at least one for each of the"
            f" {replicas.n} workers; set more"
        )


@contextlib.contextmanager
def _output_named() -> Iterator[None]:
    """Make errors about the place of the result name its option."""
    try:
        yield
    except ModelError as error:
        raise ModelError(error.message.replace("--model", "-o"), detail=error.detail) from None


def _with_size_of(vectors: Vectors | None, config: PretrainingConfig) -> PretrainingConfig:
    """Return the config with the size of the vectors, unless it sets a larger one.

    Raises:
        ConfigError: it sets a smaller one, or the vectors are too large.
    """
    if vectors is None:
        return config
    source = config.embeddings.name or config.embeddings.path
    if "embedding_dim" in config.model.model_fields_set and config.model.embedding_dim < vectors.dim:
        raise ConfigError(
            f"--set model.embedding_dim: found {config.model.embedding_dim}, expected at least {vectors.dim}, the size"
            f" of the vectors from {source}; raise it, or leave it out"
        )
    if not SIZE.allows(vectors.dim):
        raise ConfigError(
            f"--set embeddings: found vectors of {vectors.dim} numbers in {source}, expected at most {SIZE.most};"
            " use other vectors"
        )
    if "embedding_dim" in config.model.model_fields_set:
        return config
    return config.model_copy(update={"model": config.model.model_copy(update={"embedding_dim": vectors.dim})})


def _state_to_begin_with(checkpoints: Checkpoints, listener: PretrainingListener, *, resume: bool) -> State | None:
    state = checkpoints.newest(listener.warn, remove_damaged=resume)
    if state is None:
        if resume:
            listener.note(f"found no state to continue in {checkpoints.directory}; starting a new pretraining")
        return None
    if state.record.get("kind") != _KIND or state.record.get("format") != _FORMAT:
        raise ConfigError(
            f"{checkpoints.directory}: found the states of something else, or of another version of tagger, expected"
            " those of a pretraining; choose another place with -o, or delete that directory"
        )
    if not resume:
        raise ConfigError(
            f"{checkpoints.directory}: found a pretraining that was interrupted after {state.record['step']} steps,"
            " expected none; continue it with --resume, or delete that directory to start over"
        )
    return state


def _is_result_of(output: Path, facts: Mapping[str, Any]) -> bool:
    try:
        found = Pretrained.read(output).facts
    except ModelError:
        return False
    return all(found.get(key) == value for key, value in _decisive(facts).items())


def _decisive(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the result, as JSON values."""
    # The vectors themselves decide, not the place where they are.
    free = ("training.threads", "training.checkpoint_minutes", "embeddings.path", "embeddings.name")
    return {**facts, "settings": {key: value for key, value in facts["settings"].items() if key not in free}}


def _check_same(record: Mapping[str, Any], facts: Mapping[str, Any], where: Path) -> None:
    before, now = record["facts"], _decisive(facts)
    remedy = f"change it back, or delete {where} and pretrain again without --resume"
    if before.get("vectors") != now["vectors"]:
        raise ConfigError(
            f"--resume: embeddings: found {now['vectors'] or 'no vectors'}, expected"
            f" {before.get('vectors') or 'no vectors'}; {remedy}"
        )
    for key, value in now["settings"].items():
        if before["settings"].get(key) != value:
            raise ConfigError(f"--resume: {key}: found {value}, expected {before['settings'].get(key)}; {remedy}")
    if before["text"] != now["text"]:
        raise ConfigError(
            f"--resume: RAW: found another text, or another way to read it, expected the same as before; {remedy}"
        )


class _Run:
    """The steps of one pretraining."""

    def __init__(
        self,
        config: PretrainingConfig,
        text: TextFile,
        vectors: Vectors | None,
        listener: PretrainingListener,
        checkpoints: Checkpoints,
        facts: Mapping[str, Any],
        should_stop: Callable[[], bool],
        replicas: Replicas,
        *,
        threads: int,
    ) -> None:
        self._config, self._listener, self._checkpoints, self._facts = config, listener, checkpoints, facts
        self._should_stop, self._replicas, self._threads, self._text = should_stop, replicas, threads, text
        self._spec = config.model.spec()
        normalization = Normalization(config.vocabulary.lowercase, config.vocabulary.normalize_digits)
        settings = config.vocabulary
        self._vocabulary = build_text_vocabulary(
            text, self._spec, normalization, min_count=settings.min_count, max_size=settings.max_size,
            known=() if vectors is None else vectors.rows,
        )  # fmt: skip
        self._initial: InitialVectors | None = None
        if vectors is not None:
            tokens = self._vocabulary.encoder.tokens
            self._initial = InitialVectors.of(tokens, vectors, config.embeddings.max_rows)
        self._windows, self._held_out = _split(config, text, self._vocabulary)
        self._trainer = _trainer(config, self._spec, self._vocabulary, self._initial, replicas)
        self._at, self._losses, self._history = 0, list[float](), list[Report]()
        self._seconds, self._since = 0.0, time.monotonic()
        self._last_state = time.monotonic()
        self._describe()

    def _describe(self) -> None:
        vocabulary, text = self._vocabulary, self._text
        unknown = vocabulary.frequencies[1]
        self._listener.note(
            f"text: {text.n_tokens:,} tokens, {len(text.forms):,} distinct; {len(vocabulary.encoder.tokens):,} ids"
            f" ({100 * unknown:.1f} % of the text is unknown)"
        )
        if self._replicas.n > 1:
            self._listener.note(f"{self._replicas.n} workers; the streams of the text are divided among them")
        if self._initial is not None:
            for note in self._initial.notes():
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
                f"--resume: the state in {self._checkpoints.directory} does not fit: {error}; delete that directory to"
                " start over"
            ) from None
        self._listener.note(f"continuing after {self._at:,} of {self._n_steps:,} steps")

    def run(self, output: Path) -> PretrainingOutcome:
        """Train to the end and write the directory, or until asked to stop."""
        self._since = time.monotonic()
        try:
            self._train()
        except _Stopped:
            self._save_state()
            return PretrainingOutcome(stopped=True, last=self._history[-1] if self._history else None)
        if self._replicas.task.is_chief:
            publish_pretrained(output, self._result().files(_format_history(self._history)))
            self._checkpoints.remove()
        return PretrainingOutcome(stopped=False, last=self._history[-1])

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
                    self._save_state()
                # With several workers, all of them stop after the same step.
                if is_last or (len(self._replicas.task.workers) == 1 and self._should_stop()):
                    raise _Stopped

    def _rate(self) -> float:
        """Return the learning rate of the next step: it rises for some steps, then falls linearly."""
        rise = min(1.0, (self._at + 1) / _WARM_UP)
        fall = max(_LAST_RATE, 1.0 - self._at / self._n_steps)
        return self._config.training.learning_rate * rise * fall

    def _diverged(self) -> TaggerError:
        return TaggerError(
            f"step {self._at}: found a loss of {self._losses[-1]}: training diverged; lower training.learning_rate"
        )

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

    def _save_state(self) -> None:
        if not self._replicas.task.is_chief:
            return
        record = {
            "kind": _KIND,
            "format": _FORMAT,
            "facts": _decisive(self._facts),
            "threads": self._threads,
            "step": self._at,
            "losses": self._losses,
            "history": [dataclasses.asdict(report) for report in self._history],
            "seconds": self._elapsed(),
            "finished": False,
        }
        self._checkpoints.save(State(record, self._trainer.state()))
        self._last_state = time.monotonic()

    def _result(self) -> Pretrained:
        last = self._history[-1]
        packages = {name: version(name) for name in ("tensorflow", "keras", "numpy")}
        facts = {
            **_decisive(self._facts),
            "tokens": self._text.n_tokens,
            "perplexity": {"forward": last.forward, "backward": last.backward},
        }
        versions = {"tagger": __version__, "python": platform.python_version(), **packages}
        encoder, weights = self._vocabulary.encoder, self._trainer.weights()
        if self._initial is not None:
            tokens, weights["embedding"] = self._initial.joined(weights["embedding"])
            encoder = dataclasses.replace(encoder, tokens=tokens)
        return Pretrained(encoder, self._spec, weights, facts, versions)


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
    initial: InitialVectors | None,
    replicas: Replicas,
) -> LanguageModelTrainer:
    settings, trained = config.training, None
    with on_cpu() if replicas.n == 1 else replicas.scope():
        models = LanguageModels(spec, vocabulary.sizes, resets=settings.reset_states, seed=settings.seed)
        if initial is not None:
            models.embedding.assign(initial.assigned_to(models.embedding.numpy()))
            if not config.embeddings.trainable:
                trained = initial.trained(spec.embedding_dim)
        return LanguageModelTrainer(models, vocabulary.frequencies, settings.streams, trained, replicas)


def _format_history(history: Sequence[Report]) -> str:
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow([field.name for field in dataclasses.fields(Report)])
    for report in history:
        writer.writerow(
            [f"{value:.6g}" if isinstance(value, float) else value for value in dataclasses.astuple(report)]
        )
    return output.getvalue()
