"""The number of trainings that run at once, by the cores and the memory that are there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tagger.config.keys import Config
from tagger.corpus.lines import files_of
from tagger.machine import available_cores, available_memory

# A process with TensorFlow, and what the sentences of a corpus and their arrays, or lists and clusters, take for each
# byte of their files, by measurement (docs/decisions/0009-many-trainings.md).
_PROCESS = 950_000_000
_PER_BYTE = 40
_PER_VECTOR_BYTE = 10
_PACKAGED_CLUSTERS = 200_000_000  # what reading the clusters of spacy-lookups-data takes at its peak
_GPU = Path("/dev/nvidiactl")


@dataclasses.dataclass(frozen=True)
class Resources:
    """What the trainings may use.

    Attributes:
        n_at_once: how many run side by side.
        threads: the threads of each.
        memory: the bytes that one is expected to need.
    """

    n_at_once: int
    threads: int
    memory: int


def share_out(
    config: Config,
    n_jobs: int,
    *,
    at_once: int | None = None,
    device: str = "auto",
    cores: int | None = None,
    memory: int | None = None,
    gpu: Path = _GPU,
) -> Resources:
    """Divide the cores and the memory of this machine among trainings.

    The number of threads decides how sums are rounded, so it must not depend on the memory that happens to be free.

    Args:
        n_jobs: the number of trainings.
        at_once: how many the user wants to run side by side; None leaves it to the cores and the memory.
        device: the device, as `tagger train --device` names it; trainings on a GPU follow each other.
        cores, memory: those of the machine, unless a test gives others.
    """
    cores = cores or available_cores()
    memory = available_memory() if memory is None else memory
    need = expected_memory(config)
    wanted = at_once or (1 if device != "cpu" and gpu.exists() else cores)
    wanted = max(1, min(wanted, n_jobs))
    threads = config.training.threads or max(1, cores // wanted)
    if at_once is None and memory is not None:
        wanted = max(1, min(wanted, memory // need))
    return Resources(wanted, threads, need)


def expected_memory(config: Config) -> int:
    """Return the bytes of memory that one training is expected to need."""
    data = sum(
        _size(path) for files in (config.data.train, config.data.dev, config.data.test) for path in _paths(files)
    )
    features = config.features
    data += sum(_size(path) for path in (*features.lists.values(), features.clusters) if path is not None)
    packaged = _PACKAGED_CLUSTERS if features.cluster_language is not None else 0
    vectors = _size(config.embeddings.path) if config.embeddings.path is not None else 0
    return _PROCESS + _PER_BYTE * data + _PER_VECTOR_BYTE * vectors + packaged


def _paths(files: object) -> list[str]:
    return files_of(files) if isinstance(files, str | list) else []


def _size(path: str) -> int:
    place = Path(path)
    try:
        if place.is_dir():
            return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
        return place.stat().st_size
    except OSError:
        return 0  # reading it will say what is wrong
