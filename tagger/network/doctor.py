"""The facts for a bug report: versions, devices, the kernel that would run, threads, and a test of that kernel."""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tagger import __version__
from tagger.errors import DeviceError
from tagger.machine import available_cores
from tagger.network.bilstm import Kernel, make_branch
from tagger.network.devices import Device, choose_device, why_no_gpu
from tagger.network.distributed import read_task

_PACKAGES = ("tensorflow", "keras", "onnx", "onnxruntime", "numpy", "click", "seqeval", "pydantic", "safetensors")
_VARIABLES = ("TF_CONFIG", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE")
_TOLERANCE = 1e-4  # a wrong gradient differs by as much as the gradient itself


@dataclasses.dataclass(frozen=True)
class SelfTest:
    """A comparison of the kernel with Keras's own loop on random numbers.

    Attributes:
        kernel: the name of the kernel.
        value_error, gradient_error: the largest difference of a value and of a gradient.
        seconds: the duration of the test.
    """

    kernel: str
    value_error: float
    gradient_error: float
    seconds: float

    @property
    def passed(self) -> bool:
        return all(error < _TOLERANCE for error in (self.value_error, self.gradient_error))  # NaN fails


def examine() -> tuple[dict[str, Any], SelfTest]:
    """Return everything about this machine that decides how `tagger train` runs, and test the kernel."""
    device = choose_device("auto")
    gpus = tf.config.list_physical_devices("GPU")
    reason, *detail = ["found"] if gpus else why_no_gpu()
    threading = tf.config.threading
    cores = available_cores()
    facts = {
        "versions": {"tagger": __version__, "python": platform.python_version(), **_versions()},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": cores if cores == os.cpu_count() else f"{cores} of {os.cpu_count()}",
        "threads": {
            "per operator": threading.get_intra_op_parallelism_threads(),
            "operators at a time": threading.get_inter_op_parallelism_threads(),
        },
        "device": device.name,
        "kernel": device.kernel.value,
        "gpu": [_describe(gpu) for gpu in gpus] or [f"none: {reason}", *detail],
        "workers": _workers(),
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }
    return facts, check_kernel(device)


def format_facts(facts: dict[str, Any], indent: str = "") -> str:
    """Return a line for each fact, with the facts of a group indented below its name."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{name}:\n{format_facts(value, indent + '  ')}")
        elif isinstance(value, list):
            lines.append("".join([f"{indent}{name}: {value[0]}\n", *(f"{indent}  {line}\n" for line in value[1:])]))
        else:
            lines.append(f"{indent}{name}: {f'{value:.2g}' if isinstance(value, float) else value}\n")
    return "".join(lines)


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed under this name"  # such as tensorflow-cpu or a custom build
    return found


def _describe(gpu: Any) -> str:
    details = tf.config.experimental.get_device_details(gpu)
    capability = ".".join(map(str, details.get("compute_capability", ())))
    return f"{details.get('device_name', gpu.name)}{f', compute capability {capability}' if capability else ''}"


def _workers() -> str:
    try:
        task = read_task()
    except DeviceError as error:
        return error.message
    return f"{task.index} of {len(task.workers)}: {', '.join(task.workers)}" if len(task.workers) > 1 else "one"


def check_kernel(device: Device) -> SelfTest:
    """Compare the values and gradients of branches on the device's kernel with those of Keras's own LSTM."""
    start = time.perf_counter()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # the reference must be float32 on a GPU too
    # On a CPU, the two sizes run different gradients.
    errors = np.max([_errors(device.kernel, units) for units in (16, 128)], axis=0)
    return SelfTest(device.kernel.value, float(errors[0]), float(errors[1:].max()), time.perf_counter() - start)


def _errors(kernel: Kernel, units: int) -> list[float]:
    """Return the largest error of the values, and of each gradient."""
    rng, batch, steps = np.random.default_rng(0), 4, 9
    x = tf.constant(rng.normal(size=(steps, batch, units)), tf.float32)
    weighting = rng.normal(size=(steps, batch, units)).astype(np.float32)
    shapes = ((units, 4 * units), (units, 4 * units), (4 * units,))
    weights = [rng.normal(scale=2.0 / units**0.5, size=shape) for shape in shapes]
    results = []
    for one in (kernel, Kernel.PLAIN):
        branch = make_branch(units, one)
        branch.build((None, None, units))
        branch.set_weights(weights)
        results.append(_values_and_gradients(branch, x, weighting))
    return [float(np.abs(ours - theirs).max()) for ours, theirs in zip(*results, strict=True)]


def _values_and_gradients(branch: keras.layers.LSTM, x: Any, weighting: Any) -> list[Any]:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = branch.run(x)
        loss = tf.reduce_sum(y * weighting)
    gradients = tape.gradient(loss, [x, *(weight.value for weight in branch.trainable_variables)])
    return [np.asarray(array) for array in (y, *gradients)]
