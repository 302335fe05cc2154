"""A tagger as an estimator of scikit-learn: `from tagger.integrations.scikit_learn import TaggerClassifier`."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tagger.api import Tagger
from tagger.atomic import publish_directory
from tagger.config.file import put_setting
from tagger.config.keys import Config
from tagger.config.loading import config_of, with_model_dir
from tagger.corpus.notation import BadTag
from tagger.corpus.notation_detection import notation_of_other
from tagger.errors import ConfigError, TaggerError
from tagger.evaluation.scores import Evaluation, evaluate
from tagger.integrations.packed import load_packed, pack
from tagger.integrations.training_file import SETTINGS, TrainingFile, check_together, checked_rows
from tagger.model_dir.store import check_place
from tagger.prediction.entities import is_probability
from tagger.prediction.predictor import Predictor

try:
    from sklearn.base import BaseEstimator
    from sklearn.utils.validation import check_is_fitted
except ImportError:
    raise TaggerError(
        "TaggerClassifier: found no scikit-learn, expected it as a base; run pip install '.[sklearn]' in a clone of"
        " tagger"
    ) from None

if TYPE_CHECKING:
    from tagger.training.listener import Told

_LOG = logging.getLogger("tagger")
# The parameters that are keys of the config. None stands for the default of the key.
_KEYS: Mapping[str, str] = {
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "learning_rate": "training.learning_rate",
    "units": "model.units",
    "layers": "model.layers",
    "embedding_dim": "model.embedding_dim",
    "dropout": "model.dropout",
    "characters": "model.characters",
    "decoder": "model.decoder",
    "seed": "training.seed",
    "threads": "training.threads",
}
_DEVICES = ("auto", "cpu", "gpu", "gpus")
_LOGS = "training.log"
_OWN = frozenset((*SETTINGS, "data.train", "data.dev", "data.test", "data.format", "output.model_dir"))


class TaggerClassifier(BaseEstimator):
    """A classifier of the tokens of sentences, whose `X` is a list of lists of tokens, and `y` one of lists of tags.

    It is not a `ClassifierMixin`, because scikit-learn expects one label for each sample of those, and folds that
    keep the shares of labels. Notes and warnings of the training go to the logger `tagger`.

    Args:
        epochs, batch_size, learning_rate, seed, threads: the keys of the config's section `training` with these names;
            None for their defaults.
        units, layers, embedding_dim, dropout, characters, decoder: those of the section `model`.
        dev: the share of the sentences that is held out to choose the best epoch; None to keep the last one.
        device: `auto`, `cpu`, `gpu` or `gpus`.
        settings: further keys of the config with their values, as in `{"model.casing": False}`; `training.log` is not
            one of them.

    Attributes:
        classes_: the tags that the model can predict, as `y` spells them.
        n_iter_: the number of epochs that it was trained for.
        model_: the files of its model directory.
    """

    def __init__(
        self,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        units: int | None = None,
        layers: int | None = None,
        embedding_dim: int | None = None,
        dropout: float | None = None,
        characters: str | None = None,
        decoder: str | None = None,
        seed: int | None = None,
        threads: int | None = None,
        dev: float | None = 0.1,
        device: str = "auto",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.units = units
        self.layers = layers
        self.embedding_dim = embedding_dim
        self.dropout = dropout
        self.characters = characters
        self.decoder = decoder
        self.seed = seed
        self.threads = threads
        self.dev = dev
        self.device = device
        self.settings = settings

    def fit(self, X: Sequence[Sequence[str]], y: Sequence[Sequence[str]]) -> Self:  # noqa: N803 (scikit-learn's name)
        """Train a model. This imports TensorFlow.

        Args:
            X: sentences, each a list of tokens.
            y: the tags of each sentence; their scheme is found, unless `settings` has `data.scheme`.

        Raises:
            TypeError: a token or tag is not text.
            ValueError: `X` and `y` differ in their numbers of sentences or tokens.
            tagger.errors.TaggerError: a setting is wrong, the tags do not fit any scheme, or training failed.
        """
        sentences, tags = checked_rows(X, "X"), checked_rows(y, "y")
        check_together(sentences, tags)
        with tempfile.TemporaryDirectory(prefix="tagger-") as folder:
            file, model_dir = Path(folder, "train.conll"), Path(folder, "model")
            written = TrainingFile(file, sentences, tags)
            with written.errors_named():
                config = self._config(file, model_dir)
                from tagger.training.train import train  # takes seconds, so settings are checked before

                outcome = train(config, _listener(written), device=self.device)
            self.model_ = pack(model_dir)
        self.n_iter_ = len(outcome.history)
        self._predictor: Predictor | None = load_packed(self.model_, threads=_plain(self.threads))
        self.classes_ = self._predictor.spelled_tags
        return self

    def predict(self, X: Sequence[Sequence[str]]) -> list[list[str]]:  # noqa: N803
        """Return the tags of each sentence, which may be empty.

        Raises:
            sklearn.exceptions.NotFittedError: the model has not been trained.
            TypeError: a token is not text.
        """
        tagger = self.tagger_
        return [prediction.tags for prediction in tagger.tag(checked_rows(X, "X"))]

    def score(self, X: Sequence[Sequence[str]], y: Sequence[Sequence[str]]) -> float:  # noqa: N803
        """Return the F1 of the spans as `tagger eval` prints it: that of seqeval's default mode, which is conlleval's.

        It is the accuracy of the tokens if tags are plain, or if `y` has no spans.
        """
        return self.evaluate(X, y).score

    def evaluate(self, X: Sequence[Sequence[str]], y: Sequence[Sequence[str]]) -> Evaluation:  # noqa: N803
        """Return all scores: precision, recall and F1, also by entity type and by the strict reading.

        Raises:
            ValueError: a tag does not fit the scheme of the training, or `X` and `y` differ in their numbers.
        """
        predicted, gold = self.predict(X), checked_rows(y, "y")
        check_together(predicted, gold)
        manifest = self._loaded().model.manifest
        trained = manifest.notation
        try:
            own = notation_of_other(gold, trained)
        except BadTag as bad:
            i, j = next((i, row.index(bad.tag)) for i, row in enumerate(gold) if bad.tag in row)
            raise ValueError(
                f"y[{i}][{j}]: found the tag {bad.tag!r}, expected one of the scheme {trained.describe()}, as in the"
                " training; fix it"
            ) from None
        labelled, _ = manifest.labels.apply([list(map(own.canonical, tags)) for tags in gold], own.scheme)
        return evaluate(
            labelled,
            [list(map(trained.canonical, tags)) for tags in predicted],
            trained.scheme,
            own.scheme,
        )

    @property
    def tagger_(self) -> Tagger:
        """The trained model as a `Tagger`, which also has scores and spans.

        Raises:
            sklearn.exceptions.NotFittedError: it has not been trained.
        """
        return Tagger(self._loaded())

    def save_model(self, directory: str | os.PathLike[str]) -> None:
        """Write the model directory, for `tagger predict` and `Tagger.load`.

        Raises:
            sklearn.exceptions.NotFittedError: the model has not been trained.
            tagger.errors.ModelError: the directory cannot be written, or holds other files.
        """
        check_is_fitted(self, "model_")
        check_place(Path(directory))
        publish_directory(Path(directory), self.model_)

    def __sklearn_tags__(self) -> Any:
        """Say that `X` holds texts, and not an array of numbers, and that fitting needs `y`."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string, tags.target_tags.required = False, True, True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the loaded model, which cannot be pickled; its files are part of the state."""
        return {name: value for name, value in super().__getstate__().items() if name != "_predictor"}

    def _loaded(self) -> Predictor:
        check_is_fitted(self, "model_")
        predictor: Predictor | None = getattr(self, "_predictor", None)
        if predictor is None:
            predictor = self._predictor = load_packed(self.model_, threads=_plain(self.threads))
        return predictor

    def _config(self, file: Path, model_dir: Path) -> Config:
        if self.device not in _DEVICES:
            raise ConfigError(f"device: found {self.device!r}, expected one of {', '.join(_DEVICES)}")
        if self.dev is not None and not (is_probability(self.dev) and 0 < self.dev < 1):
            raise ConfigError(
                f"dev: found {self.dev!r:.60}, expected the share of the sentences to hold out, above 0 and below 1, or"
                " None"
            )
        chosen = {key: getattr(self, name) for name, key in _KEYS.items() if getattr(self, name) is not None}
        own = {**SETTINGS, "data.train": str(file), "data.dev": self.dev}
        values: dict[str, Any] = {}
        for key, value in {**own, **chosen, **_checked_settings(self.settings, chosen)}.items():
            put_setting(values, key, _plain(value), f"{key}={value!r}")
        return with_model_dir(config_of(values, path=Path("TaggerClassifier")), model_dir)


def _checked_settings(settings: object, chosen: Collection[str]) -> Mapping[str, Any]:
    """Return the parameter `settings`, in which no key may have a value already.

    Args:
        settings: the parameter.
        chosen: the keys that other parameters have set.

    Raises:
        ConfigError: it is not a dictionary of keys that may be set.
    """
    if settings is not None and not isinstance(settings, Mapping):
        raise ConfigError(
            f"settings: found {settings!r:.60}, expected a dictionary of keys of the config with their values, as in"
            " {'model.casing': False}"
        )
    for key in settings or ():
        if not isinstance(key, str) or "." not in key:
            raise ConfigError(f"settings: found {key!r}, expected keys of the config such as model.casing")
        if any(f"{key}.".startswith(f"{own}.") for own in _OWN):
            raise ConfigError(f"settings: found {key}, expected a key that does not follow from X, y and dev")
        if key == _LOGS:
            raise ConfigError(
                f"settings: found {key}, whose files would be lost, as the estimator trains in a temporary directory;"
                " take it out, or use tagger train"
            )
        if key in chosen:
            name = next(name for name, other in _KEYS.items() if other == key)
            raise ConfigError(f"settings: found {key} and also the parameter {name}, expected one of them")
    return settings or {}


def _plain(value: Any) -> Any:
    """Return a number of NumPy, such as a grid or a distribution gives, as one of Python."""
    return value.item() if isinstance(value, np.generic) else value


def _listener(written: TrainingFile) -> Told:
    """Return a listener that passes notes and warnings to the logger."""
    from tagger.training.listener import Told

    return Told(lambda text: _LOG.info(written.named(text)), lambda text: _LOG.warning(written.named(text)))
