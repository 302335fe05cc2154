"""Cross-validation: every sentence of the training data is tagged by a model that was not trained on it."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tagger.atomic import write_blocks_atomically
from tagger.config.keys import Config
from tagger.config.loading import with_model_dir
from tagger.corpus.conll import write_sentence
from tagger.corpus.dataset import Corpus
from tagger.corpus.schemes import NO_SCHEME
from tagger.errors import ConfigError
from tagger.evaluation.scores import Evaluation, evaluate
from tagger.filesystem import relative_path
from tagger.prediction.onnx_session import load_predictor
from tagger.prediction.predictor import TaggedSentence
from tagger.runs.folds import By, Folds, divide
from tagger.runs.job import Job, JobResult
from tagger.runs.plan import RunsDirectory, plan_of
from tagger.runs.runner import Machines, ThisMachine, Watcher, run_all
from tagger.training.corpora import Corpora, Tell, load_training_data
from tagger.training.rows import Rows
from tagger.wording import counted

_AT_ONCE = 1024  # sentences that are tagged in one call
PREDICTIONS = "predictions.conll"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossSettings:
    """The settings of a cross-validation.

    Attributes:
        k: the number of folds.
        by: whether to divide documents or sentences.
        directory: the place of its models and results.
        at_once: the number of trainings to run side by side; None leaves it to the cores and the memory.
        device: the device, as `tagger train --device` names it.
        resume: continue what was interrupted.
        force: start over where trainings have been.
        machines: where the trainings run.
    """

    k: int
    directory: Path
    by: By = "auto"
    at_once: int | None = None
    device: str = "auto"
    resume: bool = False
    force: bool = False
    machines: Machines = dataclasses.field(default_factory=ThisMachine)


@dataclasses.dataclass(frozen=True)
class OutOfFold:
    """The training data and what models that had not seen it predict.

    Attributes:
        found: the corpus, and how it was read.
        folds: its folds.
        results: the trainings, one for each fold.
        tagged: the prediction for each sentence, with the probabilities of its tags and spans.
        spelled: the predicted tags as the training file spells them.
        scheme: the scheme of the predicted tags.
    """

    found: Corpora
    folds: Folds
    results: list[JobResult]
    tagged: list[TaggedSentence]
    spelled: list[list[str]]
    scheme: str

    @property
    def corpus(self) -> Corpus:
        """The training data."""
        return self.found.train

    def evaluation(self, rows: Sequence[int] | None = None) -> Evaluation:
        """Return the scores on some sentences, or on all of them together."""
        chosen = range(len(self.tagged)) if rows is None else rows
        gold = [self.corpus.tags[i] for i in chosen]
        return evaluate(gold, [self.tagged[i].tags for i in chosen], self.scheme, self.corpus.notation.scheme)

    def blocks(self) -> Iterator[bytes]:
        """Yield the training data in CoNLL, each token with its predicted tag and the probability of that tag."""
        layout, corpus = self.found.layout, self.corpus
        for i in range(len(corpus) + 1):
            for other in corpus.between.get(i, ()):
                yield write_sentence(other, [[], []], layout, docstart_columns=("O", "1.0000"))
            if i < len(corpus):
                probabilities = [f"{probability:.4f}" for probability in self.tagged[i].probabilities]
                columns = [self.spelled[i], probabilities]
                yield write_sentence(corpus.sentences[i], columns, layout, docstart_columns=("O", "1.0000"))


@dataclasses.dataclass(frozen=True)
class CrossValidation:
    """The scores of a cross-validation.

    Attributes:
        folds: the scores of each fold's model on the fold.
        pooled: the scores of all predictions together.
        by: whether documents or sentences were divided.
        results: the trainings.
        predictions: the file with the predictions.
    """

    folds: list[Evaluation]
    pooled: Evaluation
    by: str
    results: list[JobResult]
    predictions: Path

    def means(self) -> dict[str, tuple[float, float]]:
        """Return the mean and the sample standard deviation over the folds, by the name of the score."""
        names = ("precision", "recall", "f1") if self.pooled.overall is not None else ()
        found = {name: [getattr(fold.overall, name) for fold in self.folds] for name in names}
        found["accuracy"] = [fold.accuracy for fold in self.folds]
        return {name: (statistics.mean(values), statistics.stdev(values)) for name, values in found.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the object that `tagger crossval --json` prints."""
        return {
            "by": self.by,
            "folds": [
                {"name": result.name, "epoch": result.epoch, **fold.to_json()}
                for result, fold in zip(self.results, self.folds, strict=True)
            ],
            "mean": {name: mean for name, (mean, _) in self.means().items()},
            "deviation": {name: deviation for name, (_, deviation) in self.means().items()},
            "pooled": self.pooled.to_json(),
            "predictions": relative_path(self.predictions),
        }


def cross_validate(
    config: Config,
    settings: CrossSettings,
    watcher: Watcher,
    *,
    note: Tell,
    warn: Tell,
    should_stop: Callable[[], bool] = lambda: False,
) -> CrossValidation | None:
    """Train a model for each fold on all others, and score it on the fold; return None if it was stopped.

    Raises:
        TaggerError: the data cannot be divided, or a training failed.
    """
    directory = RunsDirectory(settings.directory, results=(PREDICTIONS,))
    with directory.lock():
        found = out_of_fold(config, settings, watcher, directory, note=note, warn=warn, should_stop=should_stop)
        if found is None:
            return None
        path = settings.directory / PREDICTIONS
        write_blocks_atomically(path, found.blocks())
        scores = [found.evaluation(found.folds.inside(fold)) for fold in range(settings.k)]
        return CrossValidation(scores, found.evaluation(), found.folds.by, found.results, path)


def out_of_fold(
    config: Config,
    settings: CrossSettings,
    watcher: Watcher,
    directory: RunsDirectory,
    *,
    note: Tell,
    warn: Tell,
    should_stop: Callable[[], bool] = lambda: False,
    of_spans: bool = False,
) -> OutOfFold | None:
    """Train a model for each fold on all others, and tag the fold with it; return None if it was stopped.

    Args:
        directory: the place of the trainings, which is locked.
        of_spans: refuse plain tags before anything is trained.

    Raises:
        TaggerError: as in `cross_validate`.
    """
    if settings.k < 2:
        raise ConfigError(f"-k: found {settings.k}, expected at least 2 folds")
    # The fold of a sentence is never a part of its training, so dev may be drawn from the rest of the training data.
    found = load_training_data(config.data, config.training.seed, note, warn)
    if of_spans and found.notation.scheme == NO_SCHEME:
        raise ConfigError(
            f"{found.train.path}: found plain tags, expected tags of spans, which suspects are; set data.scheme if they"
            " are spans, otherwise see what tagger crossval predicts"
        )
    folds = divide(found.train, settings.k, settings.by, config.training.seed)
    note(f"{folds.k} folds of {counted(folds.n_units, folds.by)}, drawn by seed {config.training.seed}")
    jobs = _jobs(config, settings, folds)
    plan = plan_of("crossval", config, jobs, **{"-k": settings.k, "--by": folds.by})
    resources = settings.machines.share_out(config, settings.k, at_once=settings.at_once, device=settings.device)
    resources = directory.begin_with(plan, resources, config, resume=settings.resume, force=settings.force)
    jobs = [job.ready(resources.threads, plan["data"]) for job in jobs]
    results = run_all(jobs, settings.directory, resources, watcher, should_stop=should_stop, machines=settings.machines)
    if len(results) < len(jobs):
        return None
    return _tag_folds(found, folds, jobs, results)


def fold_name(fold: int) -> str:
    """Return the name of a fold's training, which is that of its directory."""
    return f"fold-{fold + 1}"


def _jobs(config: Config, settings: CrossSettings, folds: Folds) -> list[Job]:
    jobs = []
    for fold in range(settings.k):
        name = fold_name(fold)
        own = with_model_dir(config, settings.directory / name)
        own = own.model_copy(update={"data": own.data.model_copy(update={"test": None})})
        jobs.append(Job(name, own, Rows(folds.outside(fold)), settings.device))
    return jobs


def _tag_folds(found: Corpora, folds: Folds, jobs: Sequence[Job], results: list[JobResult]) -> OutOfFold:
    corpus = found.train
    tagged: list[TaggedSentence] = [TaggedSentence([], [])] * len(corpus)
    spelled: list[list[str]] = [[]] * len(corpus)
    scheme = found.notation.scheme
    for fold, job in enumerate(jobs):
        predictor = load_predictor(job.model_dir)
        scheme = predictor.model.manifest.notation.scheme
        rows = folds.inside(fold)
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            sentences = [corpus.sentences[i] for i in some]
            predicted = predictor.tag(
                [sentence.tokens for sentence in sentences], [sentence.features for sentence in sentences], spans=True
            )
            for i, one in zip(some, predicted, strict=True):
                tagged[i], spelled[i] = one, [predictor.spell(tag) for tag in one.tags]
    return OutOfFold(found, folds, results, tagged, spelled, scheme)
