"""Attack whole processes: readers while a model is replaced, kills, a terminal, exports and two trainings at once.

    python scripts/checks/attack.py                          # 200 kills of a writer, 20 terminals, 3 exports, 2 pairs
    python scripts/checks/attack.py --kills 50 --terminals 5 --exports 0 --pairs 0  # without TensorFlow: a minute
    python scripts/checks/attack.py --without publishing --kills 50                 # must find something

- A process replaces a model again and again, and is killed at a random moment. Meanwhile, and afterwards, each reader
  must see one whole model.
- `tagger predict` reads a terminal, which ends with Ctrl-D, Ctrl-C, or by being closed.
- `tagger export` is killed at a random moment. Its output must be whole or missing, and the model unchanged.
- Two trainings write to the same directory at once. One must end well, and the model must load.

`crash_test.py` interrupts trainings. Prints a line of JSON; exits with 1 if something is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from hostile_models import ROOT, make_models
from switches import PROCESSES

SECONDS = 60  # the most that one attack may take


# --- A model that is replaced ----------------------------------------------------------------------------------------


def replace_forever(directory: Path) -> None:
    """Write model after model, each with its number in three of its files."""
    import dataclasses

    from tagger.inputs.vocabulary import TokenVocabulary
    from tagger.model_dir.store import load_model, read_weights, save_model

    model = load_model(directory, read_weights)
    graph = (directory / "model.onnx").read_bytes()
    number = model.manifest.seed
    while True:
        number += 1
        tokens = TokenVocabulary((*model.encoder.tokens.tokens[:-1], f"number {number}"))
        weights = {name: weight * 0 + number for name, weight in model.network.items()}
        changed = dataclasses.replace(
            model,
            manifest=dataclasses.replace(model.manifest, seed=number),
            encoder=dataclasses.replace(model.encoder, tokens=tokens),
            network=weights,
        )
        save_model(changed, graph=graph, config="", history="")


def number_of(directory: Path) -> int:
    """Return the number of a whole model; raise AssertionError for a mixture of two."""
    from tagger.model_dir.store import load_model, read_weights

    model = load_model(directory, read_weights)
    if model.manifest.seed == 1:
        return 1
    numbers = {model.manifest.seed, int(model.encoder.tokens.tokens[-1][7:]), int(model.network["softmax.bias"][0])}
    if len(numbers) != 1:
        raise AssertionError(f"found the models {numbers} in one directory")
    return model.manifest.seed


def kill_a_writer(rng: random.Random, folder: Path) -> str:
    directory = folder / "replaced"
    if not directory.exists():
        shutil.copytree(folder / "models/words", directory)
    process = os.fork()
    if process == 0:
        try:
            replace_forever(directory)
        finally:
            os._exit(3)
    end, n_read = time.monotonic() + rng.uniform(0.01, 0.3), 0
    try:
        while time.monotonic() < end or not n_read:
            number_of(directory)
            n_read += 1
    finally:
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        raise AssertionError(f"the writer ended with {os.waitstatus_to_exitcode(status)}")
    number_of(directory)
    for path in folder.glob(".replaced.*"):  # what a writer leaves when it is killed; `tagger train` removes it
        shutil.rmtree(path)
    return "kills"


# --- A terminal ------------------------------------------------------------------------------------------------------


def tag_at_a_terminal(rng: random.Random, folder: Path) -> str:
    how, codes = rng.choice([("end", {0}), ("interrupt", {130}), ("hangup", {0, 1, 129, 130, -signal.SIGHUP})])
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-m", "tagger", "predict", "--model", "models/words"])
    shown = _read_until(terminal, b"model: ")
    os.write(terminal, b"w1\nw2\n\n")
    shown += _read_until(terminal, b"w2\t")
    if how == "hangup":
        os.close(terminal)
    else:
        os.write(terminal, {"end": b"\x04", "interrupt": b"\x03"}[how])
        shown += _read_until(terminal, None)
        os.close(terminal)
    code = _wait(process)
    if b"Traceback" in shown or b"w1\t" not in shown or code not in codes:
        raise AssertionError(f"{how}: found the exit code {code} and {shown!r}")
    return f"terminals, {how}"


def _read_until(terminal: int, wanted: bytes | None) -> bytes:
    shown, end = b"", time.monotonic() + SECONDS
    while time.monotonic() < end and (wanted is None or wanted not in shown):
        if select.select([terminal], [], [], 1)[0]:
            try:
                block = os.read(terminal, 1 << 16)
            except OSError:  # the other side is closed
                break
            if not block:
                break
            shown += block
    return shown


def _wait(process: int) -> int:
    """Return the exit code of a process, which is killed if it does not end."""
    for _ in range(10 * SECONDS):
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.1)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    raise AssertionError("the process did not end")


# --- Export and training (with TensorFlow) ---------------------------------------------------------------------------


def _tagger(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tagger", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def kill_an_export(rng: random.Random, folder: Path) -> str:
    model, out = folder / "models/all", folder / "exported"
    before = _contents(model)
    if not (folder / "whole").exists():
        process = _tagger(folder, "export", "whole", "--model", str(model))
        errors = process.communicate()[1]
        if process.returncode != 0:
            raise AssertionError(errors)
    process = _tagger(folder, "export", "exported", "--model", str(model))
    time.sleep(rng.uniform(1, 12))
    process.kill()
    process.communicate()
    if out.exists() and out.read_bytes() != (folder / "whole").read_bytes():
        raise AssertionError("the export is incomplete")
    out.unlink(missing_ok=True)
    if _contents(model) != before:
        raise AssertionError("the export changed the model")
    return "exports"


def train_twice_at_once(rng: random.Random, folder: Path) -> str:
    from tagger.prediction.onnx_session import load_predictor

    target = folder / f"trained-{rng.randrange(1 << 30)}"
    settings = ["training.epochs=1", "model.units=8", "model.embedding_dim=8", "model.layers=1", "training.threads=1"]
    options = [*(f"--set={setting}" for setting in settings), "--model", str(target)]
    first = _tagger(folder, "train", str(ROOT / "configs/sample.yaml"), *options)
    time.sleep(rng.uniform(0, 2))
    second = _tagger(folder, "train", str(ROOT / "configs/sample.yaml"), *options)
    errors = [process.communicate()[1] for process in (first, second)]
    codes = [process.returncode for process in (first, second)]
    if "Traceback" in "".join(errors) or 0 not in codes or not set(codes) <= {0, 1}:
        raise AssertionError(f"found the exit codes {codes} and {errors}")
    load_predictor(target, threads=1)
    return f"pairs, {codes.count(0)} trained"


# --- All of them -----------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="kills of a process that replaces a model")
    parser.add_argument("--terminals", type=int, default=20, metavar="N", help="terminals that `predict` reads")
    parser.add_argument("--exports", type=int, default=3, metavar="N", help="kills of an export")
    parser.add_argument("--pairs", type=int, default=2, metavar="N", help="pairs of trainings at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", choices=PROCESSES, metavar="CHECK", help="switch off a check, to be noticed")
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    attacks: list[tuple[int, Callable[[random.Random, Path], str]]] = [
        (arguments.kills, kill_a_writer),
        (arguments.terminals, tag_at_a_terminal),
        (arguments.exports, kill_an_export),
        (arguments.pairs, train_twice_at_once),
    ]
    found: Counter[str] = Counter()
    wrong: list[Any] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models").mkdir()
        make_models(folder / "models")
        if arguments.without is not None:
            PROCESSES[arguments.without]()
        for n, attack in attacks:
            for number in range(n):
                try:
                    found[attack(random.Random(f"{arguments.seed}/{number}"), folder)] += 1
                except Exception as error:
                    wrong.append(error)
                    print(f"input {number} of {attack.__name__}: {error!r}", file=sys.stderr, flush=True)
                    break
    print(json.dumps({**found, "wrong": len(wrong)}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
