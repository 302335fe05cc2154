"""What decides how a network is trained, and where: devices, kernels, threads, the best epoch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

tf = pytest.importorskip("tensorflow")

from tagger.config import load_config  # noqa: E402
from tagger.errors import DeviceError, ModelError  # noqa: E402
from tagger.evaluation.progress import TrainingProgress  # noqa: E402
from tagger.evaluation.scores import evaluate  # noqa: E402
from tagger.network import devices, pipeline  # noqa: E402
from tagger.network.lstm import Kernel  # noqa: E402

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "train").write_text("a B-X\nb O\n\nc O\n")
    (tmp_path / "c.yaml").write_text(
        "data: {train: train, dev: train}\nmodel: {units: 2, embedding_dim: 2}\ntraining: {epochs: 1}\n"
    )
    monkeypatch.chdir(tmp_path)
    return lambda *settings: load_config("c.yaml", settings)


def test_the_device_decides_the_kernel_and_threads_are_passed_on(configured, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def choose(wanted: str, *, threads: int | None = None) -> devices.Device:
        seen.append((wanted, threads))
        return devices.Device("a GPU", Kernel.CUDNN)

    def network(**options: object) -> None:
        seen.append(options["kernel"])
        raise KeyboardInterrupt  # what is asked for is seen; a cuDNN network cannot run here

    monkeypatch.setattr(pipeline, "choose_device", choose)
    monkeypatch.setattr(pipeline, "TwoBranchTagger", network)
    with pytest.raises(KeyboardInterrupt):
        pipeline.train(configured("training.threads=3"), TrainingProgress(), device="gpu")
    assert seen == [("gpu", 3), Kernel.CUDNN]


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


def test_a_gpu_is_chosen_if_there_is_one_and_asks_for_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    config = devices.tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: [SimpleNamespace(name="GPU:0")])
    monkeypatch.setattr(config, "set_visible_devices", lambda *_: None)
    monkeypatch.setattr(config.experimental, "set_memory_growth", lambda *_: None)
    monkeypatch.setattr(config.experimental, "get_device_details", lambda _: {"device_name": "Some GPU"})
    chosen = devices.choose_device("auto")
    assert (chosen.name, chosen.kernel) == ("GPU, Some GPU", Kernel.CUDNN)
    assert devices.choose_device("cpu").kernel is Kernel.BLOCK


def test_running_out_of_memory_is_an_error_with_advice() -> None:
    with pytest.raises(DeviceError, match=r"out of memory: .* smaller model\.units"), devices.out_of_memory_explained():
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def test_a_place_that_is_taken_is_found_before_anything_else(configured, tmp_path: Path) -> None:
    (tmp_path / "train").unlink()  # would be the next error
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(ModelError, match="taken: is a file"):
        pipeline.train(configured("output.model_dir=taken"), TrainingProgress())


def test_f1_decides_which_epoch_is_best_and_accuracy_where_f1_cannot_tell() -> None:
    spans = evaluate([["B-X", "O", "O"]], [["B-X", "B-X", "O"]], "IOB2")
    assert pipeline.score_of(spans) == pytest.approx(2 / 3)
    assert pipeline.score_of(evaluate([["O", "O"]], [["O", "B-X"]], "IOB2")) == 0.5
    assert pipeline.score_of(evaluate([["a", "b"]], [["a", "a"]], "none")) == 0.5
