"""Check the report of `tagger doctor`, and that its self-test of the kernel can fail."""

from __future__ import annotations

import importlib.metadata
import json

import numpy as np
import pytest
from helpers import run_tagger

tf = pytest.importorskip("tensorflow")

from tagger.network import bilstm, block_lstm, doctor  # noqa: E402
from tagger.network.bilstm import Kernel  # noqa: E402
from tagger.network.devices import Device  # noqa: E402

pytestmark = pytest.mark.tensorflow


def test_doctor_reports_versions_devices_kernel_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}')
    result = run_tagger("doctor", "--json")
    assert (result.exit_code, result.errors) == (0, "")
    facts = json.loads(result.output)
    for package in ("tensorflow", "keras", "numpy"):
        assert facts["versions"][package] == importlib.metadata.version(package)
    assert facts["kernel"] == "fused CPU LSTM (BlockLSTMV2)"
    assert facts["device"].startswith("CPU, ")
    assert facts["threads"]["per operator"] == tf.config.threading.get_intra_op_parallelism_threads()
    assert facts["gpu"][0].startswith("none: ")
    assert "TensorFlow" in facts["gpu"][1]
    assert facts["workers"] == "1 of 2: a:1, b:2"
    assert facts["environment"]["TF_CONFIG"].startswith("{")
    assert facts["self-test"]["passed"] is True
    assert 0 < facts["self-test"]["gradient_error"] < 1e-4

    text = run_tagger("doctor").output.decode()
    assert f"  tensorflow: {facts['versions']['tensorflow']}\n" in text
    assert "kernel: fused CPU LSTM (BlockLSTMV2)\n" in text
    assert text.count("\n") == len(text.splitlines())


def test_a_malformed_tf_config_is_shown_and_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{")
    assert "workers: TF_CONFIG: found '{'" in run_tagger("doctor").output.decode()


def test_the_gradient_that_tensorflow_registers_fails_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def uncorrected(x: object, kernel: tf.Tensor, recurrent_kernel: tf.Tensor, bias: object) -> object:
        units = recurrent_kernel.shape[0]
        zeros, no_peephole = tf.zeros([tf.shape(x)[1], units]), tf.zeros([units])
        return tf.raw_ops.BlockLSTMV2(
            seq_len_max=tf.cast(tf.shape(x)[0], tf.int64), x=x, cs_prev=zeros, h_prev=zeros, w=tf.concat([kernel, recurrent_kernel], 0),
            wci=no_peephole, wcf=no_peephole, wco=no_peephole, b=bias, use_peephole=False, cell_clip=0.0,
        ).h  # fmt: skip

    monkeypatch.setattr(bilstm, "block_lstm", uncorrected)
    result = run_tagger("doctor")
    assert result.exit_code == 1
    assert result.first_error.startswith("error: fused CPU LSTM (BlockLSTMV2): found errors of ")
    assert b"passed: False" in result.output
    test = doctor.check_kernel(Device("CPU", Kernel.BLOCK))
    assert test.value_error < 1e-5  # only its gradient is wrong
    assert test.gradient_error > 0.1


def test_a_wrong_gradient_of_large_layers_fails_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    right = block_lstm._looped
    monkeypatch.setattr(block_lstm, "_looped", lambda *arrays: [1.01 * one for one in right(*arrays)])
    assert not doctor.check_kernel(Device("CPU", Kernel.BLOCK)).passed


def test_every_kernel_that_runs_here_passes_within_seconds() -> None:
    for kernel in (Kernel.BLOCK, Kernel.PLAIN):
        test = doctor.check_kernel(Device("CPU", kernel))
        assert test.passed
        assert test.seconds < 20
        assert not np.isnan(test.gradient_error)


def test_an_error_of_nan_does_not_pass_the_self_test() -> None:
    for value, gradient in ((1e-7, float("nan")), (float("nan"), 1e-7)):
        assert not doctor.SelfTest("kernel", value, gradient, 0.1).passed
    assert doctor.SelfTest("kernel", 1e-7, 1e-7, 0.1).passed
