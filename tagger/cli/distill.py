"""The command `tagger distill`."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagger.cli import console, models
from tagger.cli.init import given_config
from tagger.cli.options import Finite, SeveralValues, require_packages, set_option
from tagger.cli.predict import chosen_source, tokenizer_of, with_tokens
from tagger.cli.train import (
    Run,
    device_option,
    follow,
    force_option,
    keep_previous_option,
    log_json_option,
    quiet_option,
    resume_option,
)
from tagger.corpus.lines import open_corpus, shown_name
from tagger.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tagger.config.keys import Config
    from tagger.corpus.dataset import Piece
    from tagger.model_dir.store import Model

_SUFFIX = "-distilled"


@click.command(cls=SeveralValues)
@click.argument("files", type=click.Path(), nargs=-1, required=True, metavar="CONFIG|FILE [FILE]...")
@set_option
@click.option(
    "--teachers",
    type=click.Path(),
    multiple=True,
    metavar="DIR...",
    help="Models to learn from, or directories with several. Default: what `tagger train --seeds N --keep-seeds` kept.",
)
@click.option(
    "--unlabelled", type=click.Path(), multiple=True, metavar="FILE...", help="Text without tags to learn on as well."
)
@click.option("--from", "read_as", metavar="FORMAT", help="Format of --unlabelled. Default: that which it looks like.")
@click.option("--language", help="Language of text without tokens. Default: that of the training data.")
@click.option(
    "--gold-weight",
    type=Finite(0, 1),
    default=0.5,
    show_default=True,
    metavar="W",
    help="Weight of the tags of the training data; the teachers have the rest.",
)
@click.option(
    "--temperature",
    type=Finite(0.01, 100),
    default=1.0,
    show_default=True,
    metavar="T",
    help="What the teachers' logits are divided by: above 1, they are less sure.",
)
@click.option(
    "--unlabelled-ratio",
    "ratio",
    type=Finite(0, min_open=True),
    default=3.0,
    show_default=True,
    metavar="R",
    help="Sentences of --unlabelled that an epoch has for each training sentence.",
)
@click.option("--model", "model_dir", type=click.Path(), help="Directory for the model. Default: <model>-distilled.")
@device_option
@resume_option
@force_option
@keep_previous_option
@quiet_option
@log_json_option
def distill(
    files: tuple[str, ...],
    settings: tuple[str, ...],
    teachers: tuple[str, ...],
    unlabelled: tuple[str, ...],
    read_as: str | None,
    language: str | None,
    gold_weight: float,
    temperature: float,
    ratio: float,
    model_dir: str | None,
    device: str,
    resume: bool,
    force: bool,
    keep_previous: bool,
    quiet: bool,
    log_json: str | None,
) -> None:
    """Train one model that learns from several.

    The model is trained as CONFIG (YAML) says, on its training data. At each token it learns the mean of the
    distributions of the teachers beside the gold tag; in text without tags, that mean alone. It tags at the cost of one
    model.
    """
    start = time.monotonic()
    require_packages("tensorflow", "pydantic")
    models.require_input(*unlabelled)
    say = (lambda text: None) if quiet else console.say
    config_file, config = given_config(files, settings, say)
    from tagger.config.loading import with_model_dir
    from tagger.training.teachers import Lesson, load_teachers

    chosen = [Path(name) for name in teachers] or _kept_seeds(config)
    config = with_model_dir(config, model_dir if model_dir is not None else f"{config.output.model_dir}{_SUFFIX}")
    loaded = load_teachers(chosen)
    loaded.check_apart(Path(str(config.output.model_dir)))
    pieces: list[Piece] = []
    for path in unlabelled:
        found = list(_sentences(path, loaded.members[0].model, read_as, language, say))
        if not found:
            raise DataError("found no sentence, expected text to learn on; check the file, and --from", path=path)
        pieces += found
    lesson = Lesson(teachers=loaded, unlabelled=pieces, gold_weight=gold_weight, temperature=temperature, ratio=ratio)
    run = Run(device=device, resume=resume, force=force, keep_previous=keep_previous, quiet=quiet, log_json=log_json)

    def trainer_of(*_: object) -> Any:
        from tagger.training.train import train

        return functools.partial(train, lesson=lesson)

    follow(config, config_file, run, trainer_of, start=start)


def _kept_seeds(config: Config) -> Sequence[Path]:
    """Return the models of the seeds of a config that were kept.

    Raises:
        ConfigError: there are none.
    """
    from tagger.runs.seed_directories import kept_seeds

    model_dir = Path(str(config.output.model_dir))
    found = kept_seeds(model_dir)
    if not found:
        raise ConfigError(
            f"--teachers: found none, and no {model_dir.name}.seed-N beside {model_dir}, expected models to learn from;"
            " name their directories, or train them with tagger train --seeds N --keep-seeds"
        )
    return found


def _sentences(
    path: str, teacher: Model[Any], read_as: str | None, language: str | None, say: Callable[[str], None]
) -> Iterator[Piece]:
    """Yield the sentences of a file of any format that `tagger predict` reads.

    Args:
        teacher: one of the teachers, whose training file says how to read CoNLL.
        say: called with what of the file is not used.
    """
    from tagger.corpus.conll import read_sentences
    from tagger.corpus.dataset import Piece
    from tagger.prediction.document_tagging import require_no_feature_columns
    from tagger.prediction.doubts import InputDoubts

    manifest = teacher.manifest
    how: dict[str, str | None] = dict.fromkeys(("columns", "delimiter", "encoding", "offsets"))
    source = chosen_source(path, manifest, is_text=False, read_as=read_as, language=language, **how)
    name = shown_name(path)
    if source.format_ is None:
        with open_corpus(path) as stream:
            sentences = read_sentences(stream, manifest.layout, path=name)
            for sentence in InputDoubts(teacher.encoder, manifest.layout, name, _warn).watch(sentences):
                if sentence.tokens:
                    yield Piece(sentence.columns, [], sentence.line_number(0), name)
        return
    try:
        require_no_feature_columns(manifest)
    except DataError as error:  # tagger predict needs the same
        raise DataError(error.message.replace("--model", "--teachers", 1), detail=error.detail) from None
    documents = source.format_.read(Path(path), source.options)
    for document in with_tokens(documents, tokenizer_of(source, manifest)):
        for tokens in document.sentences or ():
            words = [document.covered(token) for token in tokens]
            if words:
                yield Piece([words], [], document.place.line, name)
    for line in source.not_kept.lines():
        say(line)


def _warn(text: str) -> None:
    """Warn of text that seems to be misread, with the option of this command in the place of those of `predict`."""
    for option in ("pass --text", "if spaces do, pass --delimiter auto"):
        text = text.replace(option, "pass --from text if it is raw text")
    models.warn(text)
