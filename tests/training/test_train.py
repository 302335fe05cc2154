"""What decides how a network is trained, and where: devices, kernels, threads, the best epoch."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from tagger import machine  # noqa: E402
from tagger.cli.progress import TrainingProgress  # noqa: E402
from tagger.config import load_config  # noqa: E402
from tagger.errors import ConfigError, DataError, DeviceError, ModelError  # noqa: E402
from tagger.evaluation.scores import evaluate  # noqa: E402
from tagger.model_dir import store  # noqa: E402
from tagger.model_dir.store import load_model, read_weights  # noqa: E402
from tagger.network import (  # noqa: E402
    devices,
    distributed,
    onnx_export,
)
from tagger.network.bilstm import Kernel  # noqa: E402
from tagger.prediction.onnx_session import load_predictor  # noqa: E402
from tagger.prediction.predictor import Predictor  # noqa: E402
from tagger.training import preparation  # noqa: E402
from tagger.training import train as train_module  # noqa: E402
from tagger.training.checkpoints import Checkpoints  # noqa: E402
from tagger.training.history import EpochResult, score_of  # noqa: E402
from tagger.training.preparation import prepare  # noqa: E402
from tagger.training.resume import checksum_of, fingerprint_of  # noqa: E402
from tagger.training.train import Parts  # noqa: E402

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

    def network(_: object, device: devices.Device, **options: object) -> None:
        seen.append(device.kernel)
        raise KeyboardInterrupt  # what is asked for is seen; a cuDNN network cannot run here

    parts = Parts(choose_device=choose, build_network=network)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        train_module.train(configured("training.threads=3"), TrainingProgress(), device="gpu", parts=parts)
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


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A machine with two GPUs, as far as TensorFlow's settings go; what is set."""
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
def test_the_gpus_that_are_asked_for_are_the_ones_seen_their_memory_grows_and_they_run_cudnn(
    two_gpus: dict[str, list[str]], wanted: str, device: devices.Device, visible: list[str]
) -> None:
    assert devices.choose_device(wanted, threads=3) == device
    assert two_gpus == {"visible": visible, "growing": visible}


def test_several_gpus_train_side_by_side_and_one_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    strategy = SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(distributed.tf.distribute, "MirroredStrategy", lambda devices: made.append(devices) or strategy)
    assert distributed.connect(distributed.Task(), 2).n == 2
    assert distributed.connect(distributed.Task(), 1).n == distributed.connect(distributed.Task(), 0).n == 1
    assert made == [None]  # all that are visible


@pytest.mark.parametrize(("n_gpus", "mixed"), [(1, True), (0, False)])
def test_mixed_precision_is_for_gpus(
    configured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], n_gpus: int, mixed: bool
) -> None:
    # On a CPU that is said to be a GPU: the plain kernel can compute in float16 anywhere.
    seen: list[object] = []

    def network(*given: object, **options: object) -> object:
        seen.append(options.get("mixed_precision", False))
        return train_module.initial_network(*given, **options)  # type: ignore[arg-type]

    device = devices.Device("a device", Kernel.PLAIN, n_gpus)
    parts = Parts(choose_device=lambda *_, **__: device, build_network=network)  # type: ignore[arg-type]
    outcome = train_module.train(configured("training.mixed_precision=true"), TrainingProgress(), parts=parts)
    assert outcome.best is not None
    assert seen[0] is mixed
    errors = capsys.readouterr().err
    assert ("float16" in errors) == mixed
    assert ("warning: training.mixed_precision: only a GPU benefits from it" in errors) == (not mixed)


def test_what_a_gpu_computes_in_fewer_digits_is_checked_in_float32(configured, monkeypatch: pytest.MonkeyPatch) -> None:
    # As above. In float16 the logits are some 1e-4 from those in float32, which agree to 1e-6.
    device = devices.Device("a device", Kernel.PLAIN, 1)
    monkeypatch.setattr(onnx_export, "_TOLERANCE", 1e-5)
    settings = ("training.mixed_precision=true", "training.learning_rate=0.3", "training.epochs=5", "model.units=30")
    compared: list[float] = []

    def checked(saved: Predictor, reference: Predictor, sentences: list[list[list[str]]]) -> None:
        onnx_export.check_equal(saved, reference, sentences)
        (ours,), (theirs,) = saved.logits(sentences[0]), reference.logits(sentences[0])
        compared.append(float(abs(ours - theirs).max()))

    parts = Parts(choose_device=lambda *_, **__: device, check_equal=checked)  # type: ignore[arg-type]
    assert train_module.train(configured(*settings), TrainingProgress(), parts=parts).best is not None
    assert compared
    assert max(compared) < 1e-5


def test_a_library_is_found_beside_tensorflow_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(place: str) -> None:
        loaded.append(place)
        if "/" not in place:
            raise OSError(place)

    monkeypatch.setattr(devices.ctypes, "CDLL", load)
    monkeypatch.setattr(devices.tf, "__file__", str(tmp_path / "tensorflow/__init__.py"))
    assert not devices._loads("libx.so.1")
    (tmp_path / "nvidia/x/lib").mkdir(parents=True)
    (tmp_path / "nvidia/x/lib/libx.so.1").touch()
    assert devices._loads("libx.so.1")
    assert loaded == ["libx.so.1", "libx.so.1", str(tmp_path / "nvidia/x/lib/libx.so.1")]


def test_operators_are_deterministic(configured, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(devices.tf.config.experimental, "enable_op_determinism", lambda: asked.append(1))
    train_module.train(configured(), TrainingProgress())
    assert asked == [1]


def test_workers_are_told_apart_by_data_and_settings_but_not_by_paths_and_threads(configured, tmp_path: Path) -> None:
    def fingerprint(text: str, *settings: str) -> int:
        (tmp_path / "train").write_text(text)
        config = configured(*settings)
        return checksum_of(
            fingerprint_of(config, prepare(config, note=str, warn=str), devices.Device("", Kernel.BLOCK))
        )

    text = "a B-X\nb O\n\nc O\nd O\n"
    first = fingerprint(text)
    assert first == fingerprint(text) < 2**32
    assert first == fingerprint(text, "training.threads=3", "output.model_dir=elsewhere")
    others = [
        fingerprint("a B-X\nb O\nc O\n\nd O\n"),  # another end of a sentence
        fingerprint("a B-X\nb O\n\nc O\ne O\n"),
        fingerprint("a B-Y\nb O\n\nc O\nd O\n"),
        fingerprint("a B-X\nb B-X\n\nc O\nd O\n"),
        *(fingerprint(text, f"{key}={value}") for key, value in {
            "training.seed": 2, "training.batch_size": 5, "model.units": 3, "vocabulary.unk_probability": 0.1,
            "data.max_length": 1, "training.learning_rate": 0.5,
        }.items()),
    ]  # fmt: skip
    assert len({first, *others}) == 1 + len(others)


class _OfTwoWorkers(distributed.Replicas):
    """One of two workers, where the other says what it is told to."""

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
    configured, monkeypatch: pytest.MonkeyPatch, index: int, epochs: int
) -> None:
    history = run_of(configured, monkeypatch, _OfTwoWorkers(index, other_stops=False))
    assert len(history) == epochs


def test_workers_stop_when_another_one_does(configured, monkeypatch: pytest.MonkeyPatch) -> None:
    replicas = _OfTwoWorkers(1, other_stops=True)
    assert len(run_of(configured, monkeypatch, replicas)) == 1


def run_of(configured, monkeypatch: pytest.MonkeyPatch, replicas: distributed.Replicas) -> list[EpochResult]:
    """Six epochs with a patience of one, of which the second is best."""
    config = configured("training.epochs=6", "training.patience=1")
    prepared = prepare(config, note=str, warn=str)
    device = devices.Device("CPU", Kernel.BLOCK)
    network = train_module.initial_network(prepared, device)
    trainer = train_module.Trainer(network, config.training)
    checkpoints = Checkpoints(Path(str(config.output.model_dir)))
    fingerprint = fingerprint_of(config, prepared, device)
    gold, empty = [["B-X", "O"]], [["O", "O"]]
    scores = iter([empty, gold, *[empty] * 4])
    parts = Parts(evaluate=lambda *_: evaluate(gold, next(scores), "IOB2"))
    with checkpoints.lock():
        this = train_module.Run(
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


def test_running_out_of_memory_is_an_error_with_advice() -> None:
    with pytest.raises(DeviceError, match=r"out of memory: .* smaller model\.units"), devices.device_errors_explained():
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def test_a_gpu_that_fails_is_an_error_that_says_how_to_go_on(configured, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def failing(*_: object) -> None:
        calls.append(1)
        raise tf.errors.InternalError(None, None, "CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure\nmore")

    gpu = devices.Device("GPU, a model", Kernel.BLOCK, n_gpus=1)
    on_cpu = Parts(evaluate=failing)  # type: ignore[arg-type]
    with pytest.raises(tf.errors.InternalError):  # on a CPU nothing can be gone: it is a mistake of ours
        train_module.train(configured("output.model_dir=a"), TrainingProgress(), device="cpu", parts=on_cpu)
    on_gpu = Parts(evaluate=failing, choose_device=lambda *_, **__: gpu)  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match=r"^GPU, a model: failed .* --resume, there or with --device cpu") as error:
        train_module.train(configured("output.model_dir=b"), TrainingProgress(), parts=on_gpu)
    assert error.value.detail == ("CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure", "more")
    assert len(calls) == 2


def test_a_place_that_is_taken_is_found_before_anything_else(configured, tmp_path: Path) -> None:
    (tmp_path / "train").unlink()  # would be the next error
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(ModelError, match="taken: is a file"):
        train_module.train(configured("output.model_dir=taken"), TrainingProgress())


def test_f1_decides_which_epoch_is_best_and_accuracy_where_f1_cannot_tell() -> None:
    spans = evaluate([["B-X", "O", "O"]], [["B-X", "B-X", "O"]], "IOB2")
    assert score_of(spans) == pytest.approx(2 / 3)
    assert score_of(evaluate([["O", "O"]], [["O", "B-X"]], "IOB2")) == 0.5
    assert score_of(evaluate([["a", "b"]], [["a", "a"]], "none")) == 0.5


def test_what_is_scored_and_saved_is_the_moving_average(configured) -> None:
    def saved(*settings: str) -> dict[str, np.ndarray]:
        outcome = train_module.train(
            configured("training.epochs=1", "training.batch_size=1", *settings), TrainingProgress()
        )
        assert outcome.model_dir is not None
        return dict(load_model(outcome.model_dir, read_weights).network)

    plain, nearly_plain, averaged = saved("training.ema=null"), saved("training.ema=1e-6"), saved("training.ema=0.9")
    for name, array in plain.items():
        np.testing.assert_allclose(nearly_plain[name], array, atol=1e-5)
    assert max(np.abs(averaged[name] - array).max() for name, array in plain.items()) > 1e-4


def test_without_a_dev_set_all_of_train_is_learnt_and_the_last_epoch_kept(configured, tmp_path: Path, capfd) -> None:
    settings = "training.epochs=3", "training.patience=1", "data.dev=null"
    for name, more in (("last", ()), ("with dev", ("data.dev=train",)), ("two", ("training.epochs=2",))):
        config = configured(*settings, *more, f"output.model_dir={name}")
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
    # The same training with a dev set that is no part of it; how many epochs it lasts is the dev set's to say.
    assert [loss for _, loss, _ in rows[0]][: len(rows[1])] == [loss for _, loss, _ in rows[1]]
    assert Path("last", "weights.safetensors").read_bytes() != Path("two", "weights.safetensors").read_bytes()


def test_a_batch_that_cannot_fit_is_refused_and_its_longest_sentence_named(
    configured, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "train").write_text("a B-X\nb O\n\n" + "c O\n" * 300 + "\nd O\n")
    config = configured("model.units=500", "data.max_length=100000")
    with pytest.raises(ConfigError) as error:
        train_module.train(config, TrainingProgress(), parts=Parts(available_memory=lambda: 10_000_000))
    found = re.fullmatch(
        r"data\.max_length: a batch of 3 sentences with the longest one would take (\d+) MB of memory, expected at most the"
        r" 10 MB that are free; set it to (\d+) or less, or lower training\.batch_size",
        error.value.message,
    )
    assert found, error.value.message
    assert error.value.detail == (f"{tmp_path}/train:4: 300 tokens: c c c c c c …",)
    fits = int(found[2])
    assert 1 < fits < 300
    # What is said to fit does, though there are more pieces then to fill a batch; and one more token does not.
    text = "c O\n" * 300 + "\n"
    (tmp_path / "train").write_text("a B-X\nb O\n\n" + text * 40)
    for length, expected in ((fits, contextlib.nullcontext()), (fits + 1, pytest.raises(ConfigError))):
        config = configured("model.units=500", f"data.max_length={length}")
        with expected:
            preparation.check_memory(config.training, prepare(config, note=str, warn=str), 10_000_000)
    config = configured("model.units=100000")
    with pytest.raises(
        ConfigError, match=r"model\.embedding_dim: \d+ token ids of 2 numbers and the network would take"
    ):
        preparation.check_memory(config.training, prepare(config, note=str, warn=str), 10_000_000)
    preparation.check_memory(config.training, prepare(config, note=str, warn=str), None)


def test_the_memory_that_is_free_is_the_least_of_the_machines_and_the_containers(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(machine, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    assert machine.available_memory() is None
    (tmp_path / "meminfo").write_text("MemTotal:       9 kB\nMemAvailable:    5000 kB\n")
    assert machine.available_memory() == 5_120_000
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100000\nactive_file 7\nother_active_file 9\n")
    assert machine.available_memory() == 5_120_000
    (tmp_path / "memory.max").write_text("3000000\n")
    assert machine.available_memory() == 2_100_007


@pytest.mark.parametrize("decoder", ["constrained", "crf"])
def test_more_tags_than_a_table_of_transitions_can_hold_are_refused(
    configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoder: str
) -> None:
    (tmp_path / "train").write_text("".join(f"a B-T{i}\n\n" for i in range(10)))
    config = configured(f"model.decoder={decoder}", "model.scheme=IOB2")
    monkeypatch.setattr(preparation, "MOST_TAGS", 9)
    with pytest.raises(DataError) as error:
        prepare(config, note=str, warn=str)
    assert error.value.message == (
        f"{tmp_path}/train: found 10 distinct tags, such as B-T7, B-T8, B-T9, expected at most 9; name the tag column with"
        " data.columns, or set model.decoder to softmax"
    )
    assert len(prepare(configured("model.decoder=softmax"), note=str, warn=str).tags) == 10
    (tmp_path / "train").write_text("".join(f"a T{i}\n\n" for i in range(10)))
    if decoder == "constrained":
        assert len(prepare(config, note=str, warn=str).tags) == 10, "plain tags have no transitions"
    (tmp_path / "train").write_text("".join(f"a B-T{i}\n\n" for i in range(9)))
    assert len(prepare(config, note=str, warn=str).tags) == 9
    # A model that somebody made with more is refused before the table is.
    config = configured(f"model.decoder={decoder}", "model.scheme=IOB2", "output.model_dir=m")
    train_module.train(config, TrainingProgress())
    monkeypatch.setattr(store, "MOST_TAGS", 8)
    with pytest.raises(ModelError, match=r"tags\.txt: found 9 tags, expected at most 8; train again"):
        load_predictor(Path("m"))
