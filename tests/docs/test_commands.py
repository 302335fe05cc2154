"""The documented commands run, in the order of the documents, because later ones use the models of earlier ones."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from documented import QUICK, QUICK_PRETRAINING, QUICK_WITH_VECTORS, README, blocks, commands, page
from helpers import ROOT, run_tagger

from tagger.config.loading import load_config

TRAINING = ("train", "pretrain", "distill", "crossval", "suspects", "curve", "sweep")
WITHOUT_OUTPUT = ("train", "pretrain", "distill", "export", "convert", "vectors", "init", "report", "next", "suspects")
ENTITY = {"entity_group", "score", "word", "start", "end"}


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "command",
    [command for command in commands() if re.match(r"(printf .*\| )?tagger |awk |python scripts/make_", command)],
)
def test_documented_command_runs(in_clone: Path, command: str) -> None:
    """Run a command as a reader would type it, in the order of the documents: later ones use models of earlier ones."""
    stdin, stages = b"", [shlex.split(stage) for stage in re.split(r" \| (?=tagger|head|awk)", command)]
    for stage in stages:
        target = None
        if "<" in stage:
            stdin = Path(stage.pop(stage.index("<") + 1)).read_bytes()
            stage.remove("<")
        if ">" in stage:
            target = Path(stage.pop(stage.index(">") + 1))
            stage.remove(">")
        if "--ray" in stage:
            pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")
            # In a process of its own, as Ray is not for a process that has run TensorFlow and other tests.
            subprocess.run([sys.executable, "-m", *stage], check=True)
            output = b""
        elif stage[0] == "tagger":
            if "vectors.npy" in command:
                pytest.importorskip("gensim", reason="gensim is not installed: pip install '.[vectors]'")
            if stage[1] == "sweep":
                pytest.importorskip("optuna", reason="optuna is not installed: pip install '.[sweep]'")
            if stage[1] == "threshold" and not Path("finds-spans").exists():
                # The models of the other commands find no spans at all.
                longer = [
                    f"--set={one}" for one in ("training.epochs=4", "model.units=32", "training.learning_rate=0.02")
                ]
                assert run_tagger("train", "configs/sample.yaml", *longer).exit_code == 0
                Path("finds-spans").touch()
            result = run_tagger(*stage[1:], *quickly(stage), stdin=stdin)
            assert result.exit_code == 0, result.errors
            output = result.output
            assert output or stage[1] in WITHOUT_OUTPUT
        elif stage[0] == "python":
            output = subprocess.run([sys.executable, *stage[1:]], capture_output=True, check=True).stdout
        else:
            output = subprocess.run(stage, input=stdin, capture_output=True, check=True).stdout
        if target is not None:
            target.write_bytes(output)
        stdin = output


def quickly(command: list[str]) -> list[str]:
    """Return options with which a command that trains takes little time."""
    if command[1] not in TRAINING:
        return []
    # Vectors have a size of their own; `init` proposes those that it finds.
    configs = [Path(one) for one in command if one.endswith(".yaml")]
    texts = [path.read_text("utf-8") for path in configs if path.exists()]
    has_vectors = "embeddings.path=vectors.npy" in command or any("\nembeddings:" in text for text in texts)
    quick = QUICK_PRETRAINING if command[1] == "pretrain" else QUICK_WITH_VECTORS if has_vectors else QUICK
    return [*quick, *few_processes(command)]


def few_processes(command: list[str]) -> list[str]:
    """Return options with which a command starts fewer processes, each of which would load TensorFlow.

    Two folds or trials show that a command works, and so do seeds that are trained one after the other.
    """
    fewer = {"--seeds": ["--jobs", "1"], "-k": ["-k", "2"], "--trials": ["--trials", "2"]}
    return [word for option, words in fewer.items() if option in command for word in words]


@pytest.mark.tensorflow
def test_documented_training_with_two_workers_runs(in_clone: Path) -> None:
    (command,) = (command for command in commands() if "two_workers" in command)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    arguments = [*shlex.split(command), *QUICK]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr
    assert (in_clone / "models/sample/manifest.json").exists()


@pytest.mark.tensorflow
def test_documented_python_runs(in_clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tagger("train", "configs/sample.yaml", *QUICK).exit_code == 0
    (example,) = blocks(README, "python")
    names: dict[str, Any] = {"sentences": [["a"], ["b", "c"]]}
    exec(example, names)
    assert len(names["prediction"].tags) == 5
    pages = iter(blocks(page("python"), "python"))
    exec(next(pages), names)
    assert len(names["prediction"].scores) == 5
    exec(next(pages), names)
    assert len(names["prediction"].tags) == 2
    exec(next(pages), names)
    assert set(names.get("entity", ENTITY)) == ENTITY
    exec(next(pages), names)
    assert list(names["tagged"].columns) == ["sentence", "token", "tag", "score"]
    exec(next(pages), names)
    assert [type(found) for found in names["texts"]["entities"]] == [list, list]
    importlib.import_module("tagger.integrations.spacy_factory")  # the entry point, as this may be a clone
    exec(next(pages), names)
    assert {str(entity) for entity in names["doc"].ents} == set(names["scores"])
    exec(next(pages), names)
    assert len(names["scores"]) == 2
    assert [len(tags) for tags in names["tags"]] == [3]
    assert Path("models/ida/manifest.json").exists()
    exec(next(pages), names)
    assert "models/nothing" in capsys.readouterr().out
    assert next(pages, None) is None
    (served,) = blocks(page("serving"), "python")
    Path("network.onnx").unlink(missing_ok=True)
    assert run_tagger("export", "network.onnx").exit_code == 0
    exec(served, names)
    assert names["logits"].shape == (1, 3, len(names["tags"]))


@pytest.mark.tensorflow
def test_the_start_of_a_training_is_shown_as_it_is(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tagger.cli.summaries import format_data, format_network
    from tagger.network.bilstm import Kernel
    from tagger.network.devices import Device
    from tagger.network.summary import layers_of
    from tagger.pretraining.sentences import SentencePretraining
    from tagger.training.parts import initial_network
    from tagger.training.preparation import prepare

    shutil.copytree(ROOT / "data", tmp_path / "data")  # the whole sample
    shutil.copy(clone / "my.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    notes: list[str] = []
    config = load_config("my.yaml")
    pretraining = SentencePretraining(config, note=pytest.fail, warn=pytest.fail, should_stop=lambda: False)
    prepared = prepare(config, note=notes.append, warn=pytest.fail, pretraining=pretraining)
    network = initial_network(prepared, Device("CPU", Kernel.BLOCK))
    device = "device: CPU, 2 threads; kernel of both branches: fused CPU LSTM (BlockLSTMV2)"
    start = [*notes, device, *format_data(prepared.facts), *format_network(layers_of(network))]
    shown = next(
        block for block in blocks(page("tutorial"), "console") if "$ tagger train my.yaml" in block
    ).splitlines()
    without_pretraining = [line for line in shown if line != "…" and not line.startswith("pretraining: ")]
    assert without_pretraining[without_pretraining.index("reading the data") + 1 :][: len(start)] == start
    shown = next(block for block in blocks(README, "console") if "$ tagger train" in block).splitlines()
    before = shown[1 : next(i for i, line in enumerate(shown) if line.startswith("epoch "))]
    at = 0
    for line in before:
        if line != "…":
            at = start.index(line, at) + 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_documented_shell_completion_completes(shell: str) -> None:
    assert "_TAGGER_COMPLETE=bash_source tagger" in page("commands")
    environment = os.environ | {"COMP_WORDS": "tagger pre", "COMP_CWORD": "1" if shell != "fish" else "pre"}
    command = [sys.executable, "-c", "from tagger.cli.commands import main; main()"]
    done = subprocess.run(
        command,
        env=environment | {"_TAGGER_COMPLETE": f"{shell}_complete"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "predict" in done.stdout


def test_every_documented_command_is_run_by_a_test() -> None:
    known = r"tagger |awk |source \.venv/bin/activate$|scripts/checks/two_workers.sh |python scripts/bench/bench_(training|prediction).py |printf .* \| tagger |python scripts/(make_|results/(measure_results|ablate|small_data|partial_labels|active_learning|suspects|curves|grow|raw_vectors|lexicons|distill|recipes|pretraining|ingredients))|make |python3 -m venv|\.venv(-predict)?/bin/python -m pip"
    assert [command for command in commands() if not re.match(known, command)] == []
