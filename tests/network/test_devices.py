"""Tests of the choice of device and threads, the search for GPU libraries, and device errors."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

tf = pytest.importorskip("tensorflow")

from tagger.errors import DeviceError  # noqa: E402
from tagger.network import devices  # noqa: E402
from tagger.network.bilstm import Kernel  # noqa: E402

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(("threads", "expected"), [(1, (1, 1)), (2, (1, 2)), (5, (2, 2)), (8, (4, 2))])
def test_each_branch_gets_half_of_the_threads(
    monkeypatch: pytest.MonkeyPatch, threads: int, expected: tuple[int, int]
) -> None:
    found = {}
    fake = SimpleNamespace(
        set_intra_op_parallelism_threads=lambda n: found.update(intra=n),
        set_inter_op_parallelism_threads=lambda n: found.update(inter=n),
    )
    monkeypatch.setattr(devices.tf.config, "threading", fake)
    devices.choose_device("cpu", threads=threads)
    assert (found["intra"], found["inter"]) == expected


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Pretend that TensorFlow sees two GPUs, and record what is set for them."""
    found: dict[str, list[str]] = {"visible": [], "growing": []}
    config = devices.tf.config
    gpus = [SimpleNamespace(name="GPU:0"), SimpleNamespace(name="GPU:1")]
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(
        config, "set_visible_devices", lambda chosen, kind: found.update(visible=[gpu.name for gpu in chosen])
    )
    monkeypatch.setattr(
        config.experimental, "set_memory_growth", lambda gpu, on: found["growing"].append(gpu.name) if on else None
    )
    monkeypatch.setattr(config.experimental, "get_device_details", lambda gpu: {"device_name": f"Some {gpu.name}"})
    return found


@pytest.mark.parametrize(
    ("wanted", "device", "visible"),
    [
        ("auto", devices.Device("GPU, Some GPU:0", Kernel.CUDNN, 1, 3), ["GPU:0"]),
        ("gpu", devices.Device("GPU, Some GPU:0", Kernel.CUDNN, 1, 3), ["GPU:0"]),
        ("gpus", devices.Device("GPU, Some GPU:0, Some GPU:1", Kernel.CUDNN, 2, 3), ["GPU:0", "GPU:1"]),
        ("cpu", devices.Device("CPU, 3 threads", Kernel.BLOCK, 0, 3), []),
    ],
)
def test_only_the_requested_gpus_are_visible_and_use_cudnn_with_memory_growth(
    two_gpus: dict[str, list[str]], wanted: str, device: devices.Device, visible: list[str]
) -> None:
    assert devices.choose_device(wanted, threads=3) == device
    assert two_gpus == {"visible": visible, "growing": visible}


def test_a_library_is_also_found_beside_tensorflow(tmp_path: Path) -> None:
    loaded: list[str] = []

    def load(place: str) -> None:
        loaded.append(place)
        if "/" not in place:
            raise OSError(place)

    assert not devices.can_load("libx.so.1", load=load, packages=tmp_path)
    (tmp_path / "nvidia/x/lib").mkdir(parents=True)
    (tmp_path / "nvidia/x/lib/libx.so.1").touch()
    assert devices.can_load("libx.so.1", load=load, packages=tmp_path)
    assert loaded == ["libx.so.1", "libx.so.1", str(tmp_path / "nvidia/x/lib/libx.so.1")]


def test_running_out_of_memory_is_an_error_with_advice() -> None:
    with pytest.raises(DeviceError, match=r"out of memory: .* smaller model\.units"), devices.device_errors_explained():
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
