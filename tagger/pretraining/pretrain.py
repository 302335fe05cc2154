"""One pretraining: its text, the state that it continues from, and the other workers."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tagger.architecture import SIZE
from tagger.config.pretraining import PretrainingConfig
from tagger.errors import ConfigError, DeviceError, ModelError
from tagger.formats.raw_sentences import RawSettings
from tagger.model_dir.checkpoints import Checkpoints, State
from tagger.model_dir.pretrained import Pretrained, check_pretrained_place
from tagger.network.devices import choose_device, device_errors_explained, make_deterministic
from tagger.network.distributed import Replicas, connect, read_task, wait_for_workers
from tagger.pretraining.described_text import describe
from tagger.pretraining.run import FORMAT, KIND, PretrainingListener, PretrainingOutcome, Run
from tagger.pretraining.text_file import place_of, remove, tokenise
from tagger.pretraining.vectors import described
from tagger.vectors.table import Vectors, read_path_or_name

# What does not decide the result: of vectors, their place does not, but they themselves do.
_FREE = ("training.threads", "training.checkpoint_minutes", "embeddings.path", "embeddings.name")


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
    task, checkpoints, place = read_task(), Checkpoints(output), place_of(output, read_task().index)
    state, text, is_finished = None, None, False
    with contextlib.ExitStack() as stack:
        stack.enter_context(_output_named())
        check_pretrained_place(output)
        if config.training.streams < len(task.workers):
            raise ConfigError(
                f"--set training.streams: found {config.training.streams}, expected at least one for each of the"
                f" {len(task.workers)} workers; set more"
            )
        if task.is_chief:
            stack.enter_context(checkpoints.lock())
            state = _state_to_begin_with(checkpoints, listener, resume=resume)
            if state is None and not resume:
                _refuse_existing(output, force=force)
        if config.embeddings.path or config.embeddings.name:
            listener.note(f"reading the vectors of {config.embeddings.path or config.embeddings.name}")
        vectors = read_path_or_name(config.embeddings.path, config.embeddings.name)
        config = _with_size_of(vectors, config)
        described_text = describe(paths, reading)
        facts = _decisive(config, described_text, vectors)
        if state is not None:
            _check_same(state.record, facts, checkpoints.directory)
        elif task.is_chief and resume:
            is_finished = _is_result_of(output, facts)
            if not is_finished:
                _refuse_existing(output, force=force)
        if not is_finished:
            text = tokenise(
                paths, reading, place, described_text,
                say=listener.note, on_tokens=listener.tokens, should_stop=should_stop,
            )  # fmt: skip
            if text is None:
                return PretrainingOutcome(stopped=True, last=None)
        threads = config.training.threads
        if state is not None:
            threads = state.record["threads"]  # another number would round sums differently
        device = choose_device("cpu", threads=threads)
        make_deterministic()
        if not wait_for_workers(task, listener.note, should_stop):
            return PretrainingOutcome(stopped=True, last=None)
        stack.enter_context(device_errors_explained(n_workers=len(task.workers)))
        replicas = connect(task, 0)
        if replicas.any(is_finished) or text is None:
            listener.note("this pretraining is already finished; there is nothing left to do")
            return PretrainingOutcome(stopped=False, last=None)
        _check_workers(replicas, facts)
        run = Run(
            config, text, vectors, listener, should_stop, replicas,
            threads=device.threads, save=checkpoints.save, facts=facts,
        )  # fmt: skip
        state = replicas.state_of_chief(state)
        if state is not None:
            run.restore(state)
            state = None  # frees its arrays, which take as much memory as the trainer's
        outcome = run.train()
        if not outcome.stopped and task.is_chief:
            run.publish(output)
            checkpoints.remove()
        replicas.any(False)  # the others wait until the chief has written the result
    if not outcome.stopped and not keep_text:
        remove(place)
    return outcome


def _refuse_existing(output: Path, *, force: bool) -> None:
    """Raise ConfigError if there is a directory that must not be replaced."""
    if output.exists() and not force:
        raise ConfigError(
            f"{output}: found a pretrained directory, expected a new one; name another with -o, or pass --force to"
            " replace it"
        )


def _check_workers(replicas: Replicas, facts: Mapping[str, Any]) -> None:
    """Raise DeviceError if another worker has other facts."""
    names = {"text": "texts", "vectors": "vectors", "settings": "settings"}
    checksums = {key: zlib.crc32(json.dumps(facts.get(key), sort_keys=True).encode()) for key in names}
    # All workers must compare the same number of times.
    other = [name for key, name in names.items() if not replicas.are_same(checksums[key])]
    if other:
        raise DeviceError(
            f"TF_CONFIG: worker {replicas.task.index} and another have different {' and '.join(other)}, expected the"
            " same; give all of them the same files and --set"
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
    key = "name" if config.embeddings.path is None else "path"
    source = getattr(config.embeddings, key)
    if not SIZE.allows(vectors.dim):
        raise ConfigError(
            f"--set embeddings.{key}: found vectors of {vectors.dim} numbers in {source}, expected at most {SIZE.most};"
            " use other vectors"
        )
    if "embedding_dim" not in config.model.model_fields_set:
        return config.model_copy(update={"model": config.model.model_copy(update={"embedding_dim": vectors.dim})})
    if config.model.embedding_dim < vectors.dim:
        raise ConfigError(
            f"--set model.embedding_dim: found {config.model.embedding_dim}, expected at least {vectors.dim}, the size"
            f" of the vectors from {source}; raise it, or leave it out"
        )
    return config


def _state_to_begin_with(checkpoints: Checkpoints, listener: PretrainingListener, *, resume: bool) -> State | None:
    state = checkpoints.newest(listener.warn, remove_damaged=resume)
    if state is None:
        if resume:
            listener.note(f"found no state to continue in {checkpoints.directory}; starting a new pretraining")
        return None
    if state.record.get("kind") != KIND or state.record.get("format") != FORMAT:
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
    return all(found.get(key) == facts.get(key) for key in ("settings", "text", "vectors"))


def _decisive(config: PretrainingConfig, text: Mapping[str, Any], vectors: Vectors | None) -> dict[str, Any]:
    """Return what decides the result, as JSON values."""
    settings = {key: value for key, value in config.settings().items() if key not in _FREE}
    if vectors is None:
        return {"settings": {key: value for key, value in settings.items() if "embeddings." not in key}, "text": text}
    return {"settings": settings, "text": text, "vectors": described(vectors)}


def _check_same(record: Mapping[str, Any], facts: Mapping[str, Any], where: Path) -> None:
    before = record["facts"]
    remedy = f"change it back, or delete {where} and pretrain again without --resume"
    vectors, expected = (found.get("vectors") or "no vectors" for found in (facts, before))
    if vectors != expected:
        raise ConfigError(f"--resume: embeddings: found {vectors}, expected {expected}; {remedy}")
    for key, value in facts["settings"].items():
        if before["settings"].get(key) != value:
            raise ConfigError(f"--resume: {key}: found {value}, expected {before['settings'].get(key)}; {remedy}")
    if before["text"] != facts["text"]:
        raise ConfigError(
            f"--resume: RAW: found another text, or another way to read it, expected the same as before; {remedy}"
        )
