"""Tests of a whole training: how it calls its parts, when it stops, and which epoch it saves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from tagger.cli.progress import TrainingProgress  # noqa: E402
from tagger.config.loading import load_config  # noqa: E402
from tagger.errors import DeviceError, ModelError, TaggerError  # noqa: E402
from tagger.evaluation.evaluate import gold_files  # noqa: E402
from tagger.evaluation.scores import evaluate  # noqa: E402
from tagger.model_dir.checkpoints import Checkpoints  # noqa: E402
from tagger.model_dir.store import load_model, read_weights  # noqa: E402
from tagger.network import devices, distributed, onnx_export  # noqa: E402
from tagger.network.bilstm import Kernel  # noqa: E402
from tagger.network.trainer import Trainer  # noqa: E402
from tagger.prediction.onnx_session import load_predictor  # noqa: E402
from tagger.prediction.predictor import Predictor  # noqa: E402
from tagger.training import train as train_module  # noqa: E402
from tagger.training.history import EpochResult  # noqa: E402
from tagger.training.parts import Parts, initial_network  # noqa: E402
from tagger.training.preparation import prepare  # noqa: E402
from tagger.training.resume import fingerprint_of  # noqa: E402
from tagger.training.run import Run  # noqa: E402

pytestmark = pytest.mark.tensorflow


def test_the_device_decides_the_kernel_and_threads_are_passed_on(tiny_config, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def choose(wanted: str, *, threads: int | None = None) -> devices.Device:
        seen.append((wanted, threads))
        return devices.Device("a GPU", Kernel.CUDNN)

    def network(_: object, device: devices.Device, **options: object) -> None:
        seen.append(device.kernel)
        raise KeyboardInterrupt  # the request has been recorded, and a cuDNN network cannot run here

    parts = Parts(choose_device=choose, build_network=network)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        train_module.train(tiny_config("training.threads=3"), TrainingProgress(), device="gpu", parts=parts)
    assert seen == [("gpu", 3), Kernel.CUDNN]


@pytest.mark.parametrize(("n_gpus", "mixed"), [(1, True), (0, False)])
def test_mixed_precision_is_for_gpus(
    tiny_config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], n_gpus: int, mixed: bool
) -> None:
    # This CPU poses as a GPU, since the plain kernel can compute in float16 anywhere.
    seen: list[object] = []

    def network(*given: object, **options: object) -> object:
        seen.append(options.get("mixed_precision", False))
        return initial_network(*given, **options)  # type: ignore[arg-type]

    device = devices.Device("a device", Kernel.PLAIN, n_gpus)
    parts = Parts(choose_device=lambda *_, **__: device, build_network=network)  # type: ignore[arg-type]
    outcome = train_module.train(tiny_config("training.mixed_precision=true"), TrainingProgress(), parts=parts)
    assert outcome.best is not None
    assert seen[0] is mixed
    errors = capsys.readouterr().err
    assert ("float16" in errors) == mixed
    assert ("warning: training.mixed_precision: only a GPU benefits from it" in errors) == (not mixed)


def test_a_model_trained_in_mixed_precision_is_checked_in_float32(tiny_config) -> None:
    # The CPU poses as a GPU again. Logits in float16 differ by about 1e-4 from those in float32, which agree to 1e-6.
    device = devices.Device("a device", Kernel.PLAIN, 1)
    settings = ("training.mixed_precision=true", "training.learning_rate=0.3", "training.epochs=5", "model.units=30")
    compared: list[float] = []

    def checked(saved: Predictor, reference: Predictor, sentences: list[list[list[str]]]) -> None:
        onnx_export.check_equal(saved, reference, sentences, tolerance=1e-5)
        (ours,), (theirs,) = saved.logits(sentences[0]), reference.logits(sentences[0])
        compared.append(float(abs(ours - theirs).max()))

    parts = Parts(choose_device=lambda *_, **__: device, check_equal=checked)  # type: ignore[arg-type]
    assert train_module.train(tiny_config(*settings), TrainingProgress(), parts=parts).best is not None
    assert compared
    assert max(compared) < 1e-5


def test_operators_are_deterministic(tiny_config, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(devices.tf.config.experimental, "enable_op_determinism", lambda: asked.append(1))
    train_module.train(tiny_config(), TrainingProgress())
    assert asked == [1]


class _OfTwoWorkers(distributed.Replicas):
    """One of two workers; the other one is simulated, and stops if `other_stops` is true."""

    def __init__(self, index: int, *, other_stops: bool) -> None:
        super().__init__(task=distributed.Task(("a:1", "b:2"), index))
        self.asked: list[float] = []
        self.other_stops = other_stops
        self.n, self.local = 1, range(1)

    def total(self, value: float) -> float:
        self.asked.append(value)
        return value + (self.other_stops and len(self.asked) == 2)


@pytest.mark.parametrize(("index", "epochs"), [(0, 3), (1, 6)])
def test_only_the_chiefs_patience_counts_among_workers(
    tiny_config, monkeypatch: pytest.MonkeyPatch, index: int, epochs: int
) -> None:
    history = run_of(tiny_config, monkeypatch, _OfTwoWorkers(index, other_stops=False))
    assert len(history) == epochs


def test_workers_stop_when_another_one_does(tiny_config, monkeypatch: pytest.MonkeyPatch) -> None:
    replicas = _OfTwoWorkers(1, other_stops=True)
    assert len(run_of(tiny_config, monkeypatch, replicas)) == 1


def run_of(tiny_config, monkeypatch: pytest.MonkeyPatch, replicas: distributed.Replicas) -> list[EpochResult]:
    """Train for at most six epochs with a patience of one, of which the second is best, and return the history."""
    config = tiny_config("training.epochs=6", "training.patience=1")
    prepared = prepare(config, note=str, warn=str)
    device = devices.Device("CPU", Kernel.BLOCK)
    network = initial_network(prepared, device)
    trainer = Trainer(network, config.training)
    checkpoints = Checkpoints(Path(str(config.output.model_dir)))
    fingerprint = fingerprint_of(config, prepared, device)
    gold, empty = [["B-X", "O"]], [["O", "O"]]
    scores = iter([empty, gold, *[empty] * 4])
    parts = Parts(evaluate=lambda *_: evaluate(gold, next(scores), "IOB2"))
    with checkpoints.lock():
        this = Run(
            config,
            prepared,
            trainer,
            replicas,
            TrainingProgress(),
            lambda: False,
            fingerprint=fingerprint,
            checkpoints=checkpoints,
            parts=parts,
        )
        return this.run().history


def test_a_training_whose_dev_score_still_rises_says_what_to_set(tiny_config, capfd) -> None:
    gold = [["B-X", "B-X", "B-X"]]

    def summary(*n_right: int, patience: int = 9) -> list[str]:
        tags = iter([[["B-X"] * n + ["O"] * (3 - n)] for n in n_right])
        parts = Parts(evaluate=lambda *_: evaluate(gold, next(tags), "IOB2"))
        config = tiny_config(f"training.epochs={len(n_right)}", f"training.patience={patience}")
        return train_module.train(config, TrainingProgress(), parts=parts).summary()

    def advice(n: int) -> str:
        return f"dev was still getting better in the last epochs; continue with --epochs-more {n}, or raise training.epochs"

    assert summary(0, 1, 2)[-1] == advice(1)
    assert summary(0, 0, 2, 1)[-1] == advice(2)
    for ended in (
        summary(0, 2, 1, 1),
        summary(0, 1, 3),  # a perfect score cannot rise
        summary(0, 1, 2, 1, patience=1),  # patience ended the training
    ):
        assert not any(line.startswith("dev was") for line in ended)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (("training.learning_rate=1e30",), r"weights up to \d\S*e\+30 at step 1"),
        (("training.learning_rate=1e30", "data.dev=null", "model.decoder=crf"), r"weights up to \d\S*e\+30 at step 1"),
        (
            ("training.learning_rate=1e8", "training.optimizer=sgd", "training.clip_norm=null"),
            r"a loss of \S+ per token on dev at step 1",
        ),
    ],
)
def test_a_learning_rate_that_is_too_high_is_named_even_if_the_only_step_shows_no_loss(
    tiny_config, settings: tuple[str, ...], found: str
) -> None:
    with pytest.raises(
        TaggerError, match=rf"^epoch 1: found {found}: training diverged; lower training\.learning_rate, or"
    ) as error:
        train_module.train(tiny_config(*settings, "training.ema=null"), TrainingProgress())
    assert error.value.detail[0] == "no model was written"


def test_a_gpu_that_fails_is_an_error_that_says_how_to_continue(tiny_config, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def failing(*_: object) -> None:
        calls.append(1)
        raise tf.errors.InternalError(None, None, "CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure\nmore")

    gpu = devices.Device("GPU, a model", Kernel.BLOCK, n_gpus=1)
    on_cpu = Parts(evaluate=failing)  # type: ignore[arg-type]
    with pytest.raises(tf.errors.InternalError):  # a CPU device cannot be lost, so the error is a bug
        train_module.train(tiny_config("output.model_dir=a"), TrainingProgress(), device="cpu", parts=on_cpu)
    on_gpu = Parts(evaluate=failing, choose_device=lambda *_, **__: gpu)  # type: ignore[arg-type]
    with pytest.raises(
        DeviceError,
        match=r"^GPU, a model: the device failed during training; .* --resume, on the same device or with --device cpu",
    ) as error:
        train_module.train(tiny_config("output.model_dir=b"), TrainingProgress(), parts=on_gpu)
    assert error.value.detail == ("CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure", "more")
    assert len(calls) == 2


def test_a_model_path_that_is_taken_is_reported_before_anything_else(tiny_config, tmp_path: Path) -> None:
    (tmp_path / "train").unlink()  # the missing file would be the next error
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(ModelError, match="taken: is a file"):
        train_module.train(tiny_config("output.model_dir=taken"), TrainingProgress())


def test_the_model_directory_names_several_files_relative_to_itself(tiny_config, tmp_path: Path) -> None:
    (tmp_path / "more").write_text("d B-X\n")
    train_module.train(
        tiny_config("data.train=[train, more]", "data.test='m?r*'", "output.model_dir=a/m"), TrainingProgress()
    )
    data = load_config(tmp_path / "a/m/config.yaml").data
    both = [str(tmp_path / "train"), str(tmp_path / "more")]
    assert (data.train, data.dev, data.test) == (both, both[0], both[1:])
    assert "train:\n  - ../../train\n  - ../../more\n" in (tmp_path / "a/m/config.yaml").read_text()
    predictor = load_predictor(Path("a/m"))
    assert predictor.model.manifest.test == ["../../more"]
    assert predictor.model.encoder.tokens.tokens == ("a", "b", "c", "d")
    assert [Path(path).resolve() for path in gold_files(predictor.model, None)] == [tmp_path / "more"]


def test_the_moving_average_is_scored_and_saved(tiny_config) -> None:
    def saved(*settings: str) -> dict[str, np.ndarray]:
        outcome = train_module.train(
            tiny_config("training.epochs=1", "training.batch_size=1", *settings), TrainingProgress()
        )
        assert outcome.model_dir is not None
        return dict(load_model(outcome.model_dir, read_weights).network)

    plain, nearly_plain, averaged = saved("training.ema=null"), saved("training.ema=1e-6"), saved("training.ema=0.9")
    for name, array in plain.items():
        np.testing.assert_allclose(nearly_plain[name], array, atol=1e-5)
    assert max(np.abs(averaged[name] - array).max() for name, array in plain.items()) > 1e-4


def test_without_a_dev_set_training_uses_all_of_train_and_keeps_the_last_epoch(
    tiny_config, tmp_path: Path, capfd
) -> None:
    settings = "training.epochs=3", "training.patience=1", "data.dev=null"
    for name, more in (("last", ()), ("with dev", ("data.dev=train",)), ("two", ("training.epochs=2",))):
        config = tiny_config(*settings, *more, f"output.model_dir={name}")
        with TrainingProgress() as progress:
            outcome = train_module.train(config, progress)
        if name == "last":
            assert outcome.best is outcome.history[-1]
            assert [result.epoch for result in outcome.history] == [1, 2, 3]
            assert "dev: none; the last epoch is kept" in capfd.readouterr().err
    assert json.loads(Path("last", "manifest.json").read_text())["dev"] == {"epoch": 3}
    rows = [
        [line.split(",")[:3] for line in Path(name, "history.csv").read_text().splitlines()][1:]
        for name in ("last", "with dev")
    ]
    assert [score for _, _, score in rows[0]] == ["", "", ""]
    # A dev set that is not held out of train leaves the losses as they are, and decides only the number of epochs.
    assert [loss for _, loss, _ in rows[0]][: len(rows[1])] == [loss for _, loss, _ in rows[1]]
    assert Path("last", "weights.safetensors").read_bytes() != Path("two", "weights.safetensors").read_bytes()
