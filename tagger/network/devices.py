"""The device and the number of threads that TensorFlow uses. They must be chosen before TensorFlow runs anything."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from tagger.errors import DeviceError
from tagger.machine import available_cores
from tagger.network import muted_stderr
from tagger.network.bilstm import Kernel

CPU = "CPU:0"  # TensorFlow's name for it
_CUDA_LIBRARIES = (
    "libcuda.so.1", "libcudart.so.{cuda}", "libcublas.so.{cuda}", "libcublasLt.so.{cuda}", "libcusparse.so.{cuda}",
    "libcudnn.so.{cudnn}",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Device:
    """The device that the network runs on.

    Attributes:
        name: the name to show to users.
        kernel: the implementation that computes the LSTM branches on this device.
        n_gpus: the number of GPUs; 0 for the CPU.
        threads: the number of TensorFlow's threads on the CPU; another number rounds sums differently.
    """

    name: str
    kernel: Kernel
    n_gpus: int = 0
    threads: int = 1


def choose_device(wanted: str, *, threads: int | None = None) -> Device:
    """Choose the CPU (`cpu`), a GPU (`gpu`), all GPUs (`gpus`) or a GPU if there is one (`auto`); set the threads.

    Raises:
        DeviceError: a GPU is requested and TensorFlow does not see one; the message says what is missing.
    """
    n = threads or available_cores()
    _set_threads(n)
    with muted_stderr():
        gpus = tf.config.list_physical_devices("GPU")
    if wanted in ("gpu", "gpus") and not gpus:
        reason, *detail = why_no_gpu()
        raise DeviceError(f"--device {wanted}: TensorFlow does not see a GPU: {reason}", detail=detail)
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
    """Make TensorFlow use deterministic operators."""
    tf.config.experimental.enable_op_determinism()


def on_cpu() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which TensorFlow creates and runs everything on the CPU."""
    device: contextlib.AbstractContextManager[Any] = tf.device(CPU)
    return device


@contextlib.contextmanager
def device_errors_explained(device: Device | None = None, *, n_workers: int = 1) -> Iterator[None]:
    """Turn TensorFlow's own errors into errors that say what to do.

    Memory may run out anywhere, a GPU may fail, and one of several workers may end. Any other TensorFlow error is a bug
    in tagger and is raised unchanged.

    Args:
        device: the device that does the work; None for the CPU.
        n_workers: the number of workers that share the work.

    Raises:
        DeviceError: replaces the error of TensorFlow.
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
            f"{device.name}: the device failed during training; check it with nvidia-smi, then continue from the last"
            " saved state with --resume, on the same device or with --device cpu",
            detail=_lines(error)[:3],
        ) from None


def _lines(error: tf.errors.OpError, *words: str) -> list[str]:
    """Return the lines of an error that hold one of the words, or all lines if none are given."""
    lines = str(error.message).splitlines()
    return [line[:200] for line in lines if not words or any(word in line for word in words)]


def _set_threads(cores: int) -> None:
    # Two operators at a time, so that both branches run side by side, each on half of the cores. By measurement, this
    # is 1.6 times as fast as giving every operator all cores.
    with contextlib.suppress(RuntimeError):  # TensorFlow already runs in this process and keeps its threads
        tf.config.threading.set_intra_op_parallelism_threads(max(1, cores // 2))
        tf.config.threading.set_inter_op_parallelism_threads(min(2, cores))


def why_no_gpu() -> list[str]:
    """Return the reason and a remedy, then the versions that TensorFlow needs and the libraries that are missing."""
    build = tf.sysconfig.get_build_info()
    if not build.get("is_cuda_build"):
        return ["this TensorFlow was built without CUDA; install the tensorflow package for Linux, or use --device cpu"]
    versions = {
        "cuda": str(build.get("cuda_version", "12")).split(".")[0],
        "cudnn": str(build.get("cudnn_version", "9")).split(".")[0],
    }
    missing = [name for name in (pattern.format(**versions) for pattern in _CUDA_LIBRARIES) if not can_load(name)]
    if "libcuda.so.1" in missing:
        reason = "the NVIDIA driver is not installed; install it, or use --device cpu"
    elif missing:
        reason = "CUDA libraries are missing; run pip install '.[gpu]' in a clone of tagger, or use --device cpu"
    else:
        reason = "the CUDA libraries load, but no GPU responds; check it with nvidia-smi, or use --device cpu"
    needs = f"TensorFlow {tf.__version__} needs CUDA {build.get('cuda_version')} and cuDNN {build.get('cudnn_version')}"
    return [reason, needs, *(f"cannot be loaded: {name}" for name in missing)]


def can_load(library: str, *, load: Callable[[str], object] = ctypes.CDLL, packages: Path | None = None) -> bool:
    """Return whether TensorFlow can load a library of CUDA.

    Args:
        library: the name of its file.
        load: loads a library by its name or path; raises OSError.
        packages: the directory with the installed packages; by default the one that TensorFlow is in.
    """
    # Libraries installed by pip are beside TensorFlow, which finds them by itself; the system's loader does not.
    beside = (packages or Path(tf.__file__).parents[1]).glob(f"nvidia/*/lib/{library}")
    for place in [library, *map(str, beside)]:
        with contextlib.suppress(OSError):
            load(place)
            return True
    return False
