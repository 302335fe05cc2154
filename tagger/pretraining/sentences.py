"""A pretraining on the sentences of a training, without their tags (`training.pretraining_epochs`).

It is kept in memory, and it takes its sizes, its normalization and its seed from the config of the training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tagger.config.keys import Config
from tagger.config.pretraining import PretrainingConfig
from tagger.errors import ConfigError
from tagger.model_dir.checkpoints import State
from tagger.model_dir.pretrained import SETTINGS, Pretrained
from tagger.network.devices import on_cpu
from tagger.network.distributed import Replicas
from tagger.pretraining.run import PretrainingDivergedError, Report, Run, vocabulary_of
from tagger.pretraining.text_file import TextFile, text_in_memory

_KEY = "training.pretraining_epochs"
_MIN_COUNT = 2  # a token that occurs once is shown as unknown now and then, and begins as the unknown token
_STREAMS, _STEPS = 16, 32
_LEAST_WINDOWS = 40  # of an epoch; a short text is read in fewer streams, because few steps would learn little
_HELD_OUT, _LEAST_HELD_OUT = 0.02, 40  # share and tokens that only measure the perplexity
_LEAST_TEXT = 100  # tokens and ends of sentences
_NOTED = 5  # every fifth report is noted


class StoppedError(Exception):
    """The user asked to stop."""


class SentencePretraining:
    """The pretraining that one training begins with.

    Args:
        config: that of the training.
        note, warn: called with each finding.
        on_step: called after each step with its number, the number of all steps, and the speed in tokens a second.
        should_stop: says whether the user asked to stop.
    """

    def __init__(
        self,
        config: Config,
        *,
        note: Callable[[str], None],
        warn: Callable[[str], None],
        on_step: Callable[[int, int, float], None] = lambda *_: None,
        should_stop: Callable[[], bool],
    ) -> None:
        self._training, self._listener, self._should_stop = config, _Notes(note, warn, on_step), should_stop
        self._text, self._epochs = text_in_memory([]), 0

    def vocabulary_of(self, sentences: Iterable[Sequence[str]], epochs: int) -> Pretrained:
        """Return what `train` will return for these sentences, without weights: the embedding holds zeros.

        Args:
            epochs: how often `train` will read them.

        Raises:
            ConfigError: there is too little text.
        """
        self._text, self._epochs = text_in_memory(sentences), epochs
        config = self._config()
        vocabulary = vocabulary_of(self._text, config)
        embedding = np.zeros((len(vocabulary.encoder.tokens), config.model.embedding_dim), np.float32)
        return Pretrained(vocabulary.encoder, config.model.spec(), {"embedding": embedding}, {}, {})

    def train(
        self, *, threads: int, begun: State | None = None, save: Callable[[State], None] | None = None
    ) -> Pretrained:
        """Return what language models learn from the sentences that `vocabulary_of` was given.

        The same sentences, config and threads give the same bits, also when it is stopped and continued.

        Args:
            threads: the number of TensorFlow's threads.
            begun: the state to continue from.
            save: keeps a state, now and then and when it ends.

        Raises:
            ConfigError: it diverged.
            StoppedError: the user asked to stop.
        """
        config = self._config()
        with on_cpu():
            run = Run(
                config, self._text, None, self._listener, self._should_stop, Replicas(), threads=threads, save=save
            )
            if begun is not None:
                run.restore(begun)
            try:
                if run.train().stopped:
                    raise StoppedError
            except PretrainingDivergedError as error:
                raise ConfigError(
                    f"{_KEY}: found a loss of {error.loss} in step {error.step} of the pretraining, expected a number;"
                    " set it to 0"
                ) from None
            run.save_state()  # until the training has a state of its own
        return run.result()

    def _config(self) -> PretrainingConfig:
        return _config_of(self._training, self._epochs, self._text)


def _config_of(config: Config, epochs: int, text: TextFile) -> PretrainingConfig:
    """Return the settings of the pretraining."""
    n = len(text.numbers)
    if n < _LEAST_TEXT:
        raise ConfigError(
            f"{_KEY}: found {n} tokens and ends of sentences in the training data, expected at least {_LEAST_TEXT} to"
            " learn from; set it to 0"
        )
    vocabulary, training = config.vocabulary, config.training
    return PretrainingConfig.model_validate(
        {
            "vocabulary": {
                "min_count": max(_MIN_COUNT, vocabulary.min_count),
                "max_size": vocabulary.max_size,
                **dataclasses.asdict(config.normalization),
            },
            "model": {name: getattr(config.model, name) for name in SETTINGS},
            "training": {
                "epochs": epochs,
                "streams": max(1, min(_STREAMS, n // (_STEPS * _LEAST_WINDOWS))),
                "steps": _STEPS,
                "held_out": max(_HELD_OUT, _LEAST_HELD_OUT / n),
                "seed": training.seed,
                "checkpoint_minutes": training.checkpoint_minutes,
            },
        }
    )


class _Notes:
    """A listener of a pretraining that passes on what the user of a training should know."""

    def __init__(
        self, note: Callable[[str], None], warn: Callable[[str], None], on_step: Callable[[int, int, float], None]
    ) -> None:
        self._note, self._warn, self._on_step, self._n_reports = note, warn, on_step, 0

    def note(self, text: str) -> None:
        self._note(f"pretraining: {text}")

    def warn(self, text: str) -> None:
        self._warn(f"pretraining: {text}")

    def tokens(self, n: int) -> None: ...

    def step(self, step: int, n_steps: int, tokens_per_second: float) -> None:
        self._on_step(step, n_steps, tokens_per_second)

    def report(self, report: Report) -> None:
        self._n_reports += 1
        if self._n_reports % _NOTED == 0 or report.step == report.n_steps:
            self.note(
                f"step {report.step:,} of {report.n_steps:,}, perplexity {report.forward:.1f} forward,"
                f" {report.backward:.1f} backward, {report.tokens_per_second:,.0f} tokens/s"
            )
