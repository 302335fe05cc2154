"""Which device and how many threads TensorFlow uses. Must run before anything else of TensorFlow does."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from tagger.errors import DeviceError
from tagger.machine import available_cores
from tagger.network import muted_stderr
from tagger.network.bilstm import Kernel

CPU = "CPU:0"  # as TensorFlow names it
_CUDA_LIBRARIES = (
    "libcuda.so.1", "libcudart.so.{cuda}", "libcublas.so.{cuda}", "libcublasLt.so.{cuda}", "libcusparse.so.{cuda}",
    "libcudnn.so.{cudnn}",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Device:
    """Where the network runs.

    Attributes:
        name: for people.
        kernel: how the LSTM branches are computed there.
        n_gpus: how many GPUs it stands for; 0 for the CPU.
        threads: of TensorFlow on the CPU; with another number sums are rounded otherwise.
    """

    name: str
    kernel: Kernel
    n_gpus: int = 0
    threads: int = 1


def choose_device(wanted: str, *, threads: int | None = None) -> Device:
    """Choose `cpu`, `gpu`, all `gpus` or (`auto`) a GPU if there is one, and set the threads.

    Raises:
        DeviceError: a GPU is asked for and TensorFlow sees none; says what it lacks.
    """
    n = threads or available_cores()
    _set_threads(n)
    with muted_stderr():
        gpus = tf.config.list_physical_devices("GPU")
    if wanted in ("gpu", "gpus") and not gpus:
        reason, *detail = why_no_gpu()
        raise DeviceError(f"--device {wanted}: TensorFlow sees no GPU: {reason}", detail=detail)
    chosen = [] if wanted == "cpu" else gpus if wanted == "gpus" else gpus[:1]
    with muted_stderr():
        tf.config.set_visible_devices(chosen, "GPU")
    if not chosen:
        return Device(f"CPU, {n} thread{'' if n == 1 else 's'}", Kernel.BLOCK, threads=n)
    names = []
    for gpu in chosen:
        tf.config.experimental.set_memory_growth(gpu, True)
        names.append(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name))
    return Device(f"GPU, {', '.join(names)}", Kernel.CUDNN, len(chosen), n)


def make_deterministic() -> None:
    """Have TensorFlow take operators that give the same bits each time."""
    tf.config.experimental.enable_op_determinism()


def on_cpu() -> contextlib.AbstractContextManager[Any]:
    """Where what is made and run is on the CPU."""
    device: contextlib.AbstractContextManager[Any] = tf.device(CPU)
    return device


@contextlib.contextmanager
def device_errors_explained(device: Device | None = None, *, n_workers: int = 1) -> Iterator[None]:
    """Turn TensorFlow's own errors into errors that say what to do.

    Memory may run out anywhere, a GPU may fail, and one of several workers may end. Any other error of TensorFlow is a
    mistake of ours and stays as it is.

    Args:
        device: where the work is done; None: on the CPU.
        n_workers: how many workers share it.

    Raises:
        DeviceError: in their place.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise DeviceError(
            "out of memory: the network and its batch do not fit; use smaller model.units, model.embedding_dim or"
            " training.batch_size",
            detail=_lines(error, "OOM", "alloc")[:1],
        ) from None
    except tf.errors.OpError as error:
        if n_workers > 1:
            raise DeviceError(
                "TF_CONFIG: another worker ended or cannot be reached; see its messages, then start all workers again",
                detail=_lines(error, "Collective", "worker")[:1],
            ) from None
        if device is None or not device.n_gpus:
            raise
        raise DeviceError(
            f"{device.name}: failed in the middle of the work, expected results; see nvidia-smi, then continue from the"
            " last saved state with --resume, there or with --device cpu",
            detail=_lines(error)[:3],
        ) from None


def _lines(error: tf.errors.OpError, *words: str) -> list[str]:
    """Return the lines of an error that hold one of the words, or all lines if none are given."""
    lines = str(error.message).splitlines()
    return [line[:200] for line in lines if not words or any(word in line for word in words)]


def _set_threads(cores: int) -> None:
    # Two operators at a time, so that both branches run side by side, each with half of the cores: measured 1.6
    # times as fast as giving every operator all cores.
    with contextlib.suppress(RuntimeError):  # TensorFlow already runs in this process: its threads stay
        tf.config.threading.set_intra_op_parallelism_threads(max(1, cores // 2))
        tf.config.threading.set_inter_op_parallelism_threads(min(2, cores))


def why_no_gpu() -> list[str]:
    """The reason and the remedy, then what TensorFlow wants and each library that it cannot load."""
    build = tf.sysconfig.get_build_info()
    if not build.get("is_cuda_build"):
        return ["this TensorFlow was built without CUDA; install the tensorflow package for Linux, or use --device cpu"]
    versions = {
        "cuda": str(build.get("cuda_version", "12")).split(".")[0],
        "cudnn": str(build.get("cudnn_version", "9")).split(".")[0],
    }
    missing = [name for name in (pattern.format(**versions) for pattern in _CUDA_LIBRARIES) if not _loads(name)]
    if "libcuda.so.1" in missing:
        reason = "the NVIDIA driver is not installed; install it, or use --device cpu"
    elif missing:
        reason = "CUDA libraries are missing; pip install 'twobranch-tagger[gpu]', or use --device cpu"
    else:
        reason = "the CUDA libraries load, but no device answers; see nvidia-smi, or use --device cpu"
    wants = f"TensorFlow {tf.__version__} wants CUDA {build.get('cuda_version')} and cuDNN {build.get('cudnn_version')}"
    return [reason, wants, *(f"cannot be loaded: {name}" for name in missing)]


def _loads(library: str) -> bool:
    # Those that pip installs lie beside TensorFlow, which finds them by itself; the system's loader does not.
    beside = Path(tf.__file__).parents[1].glob(f"nvidia/*/lib/{library}")
    for place in [library, *map(str, beside)]:
        with contextlib.suppress(OSError):
            ctypes.CDLL(place)
            return True
    return False
