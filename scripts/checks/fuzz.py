"""Load configs and model directories with random damage: each must be read, or refused with a message, in little time.

    python scripts/checks/fuzz.py                     # 100,000 inputs: a quarter of an hour
    python scripts/checks/fuzz.py --inputs 500 --seed 7

Half of the inputs are configs, with changed bytes, mixed lines and values of other types. The other half are model
directories. Some of them have changed bytes, which a checksum must detect; in the others, files and manifest values are
changed and signed with correct checksums, as an attacker would do. A model that loads must tag. The inputs get 2 GB of
memory. A traceback, more than 5 seconds for one input, or an exception that is not a `TaggerError` is an error, with
exit code 1. Prints a line of JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 2 << 30  # bytes, on top of the memory of the libraries
SECONDS = 5
ODD_VALUES: list[Any] = [
    None, True, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.5, 1e308, -1e-300, "", "x", "..", "/etc/passwd",
    "../../etc", "a\x00b", "\ud800", "é" * 1000, [], [1], [[[[]]]], {}, {"a": 1}, {"": {}}, "nan", "1e999", "O", "B-X",
    "crf", "lstm",
]  # fmt: skip
YAML_PARTS = [
    "&a", "*a", "<<: *a", "!!python/object/apply:os.system [ls]", "!!binary AAAA", "---", "...", "? x", "- -", "{", "}",
    "[", "]", "|", ">", "\t", "#", "%YAML 1.2", "!!set {}", "!!timestamp 2001-01-01", "!!timestamp x",
    '!!int ""', '!!int "-"', '!!float ""', "!!bool x", "!!null x", "!!omap x", "1:59:59.5", ".inf", ".nan", "0x1F",
    "1_000", "1:30", "\u2028", "\ufeff", "'", '"', "~", "on", "1e3", "9" * 5000, "data: {train: x}",
    "model: {units: 1e999}", "training: {steps: {1: 2}}",
]  # fmt: skip


def damaged_config(rng: random.Random, texts: list[str]) -> bytes:
    lines = rng.choice(texts).splitlines()
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines) + 1)
        kind = rng.random()
        if kind < 0.3:
            lines.insert(at, rng.choice(["", "  ", "    "]) + rng.choice(YAML_PARTS))
        elif kind < 0.5 and lines:
            del lines[rng.randrange(len(lines))]
        elif kind < 0.7 and lines:
            line = rng.choice(lines)
            key, colon, _ = line.partition(":")
            value = rng.choice([*YAML_PARTS, *map(_yaml, ODD_VALUES)])
            lines.insert(at, f"{key}{colon or ':'} {value}")
        else:
            lines.insert(at, rng.choice(rng.choice(texts).splitlines() or [""]))
    content = bytearray("\n".join(lines).encode("utf-8", "surrogatepass"))
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        if content:
            content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


def _yaml(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, int) or abs(value) < 10**300 else "1" * 400


def damage_model(rng: random.Random, directory: Path, signed: bool) -> None:
    """Change a copy of a model in one way; with `signed`, correct all checksums afterwards."""
    names = sorted(path.name for path in directory.iterdir())
    name = rng.choice(names)
    path = directory / name
    if signed and (name == "manifest.json" or rng.random() < 0.3):
        values = json.loads((directory / "manifest.json").read_text("utf-8"))
        for _ in range(rng.randint(1, 2)):
            put_odd_value(rng, values)
        write_manifest(directory, values)
        return
    content = bytearray(path.read_bytes())
    kind = rng.random()
    if kind < 0.7 and content:
        for _ in range(rng.choice([1, 1, 1, 2, 8])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind < 0.8:
        del content[rng.randrange(len(content) + 1) :]
    elif kind < 0.9:
        content += rng.randbytes(rng.randint(1, 20))
    else:
        content[rng.randrange(len(content) + 1) :] = rng.choice(
            [b"\x00", b"\n\n", b"\xff\xfe", "\u2028\n".encode(), b"O\nO\n"]
        )
    path.write_bytes(content)
    if signed and name != "manifest.json":
        values = json.loads((directory / "manifest.json").read_text("utf-8"))
        values["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        write_manifest(directory, values)


def put_odd_value(rng: random.Random, values: Any) -> None:
    """Replace, delete or add one value somewhere in `values`."""
    while isinstance(values, dict) and values:
        key = rng.choice(sorted(values))
        if isinstance(values[key], dict) and values[key] and rng.random() < 0.8:
            values = values[key]
            continue
        kind = rng.random()
        if kind < 0.1:
            del values[key]
        elif kind < 0.2:
            values[str(rng.choice(ODD_VALUES))[:50]] = rng.choice(ODD_VALUES)
        else:
            values[key] = rng.choice(ODD_VALUES)
        return


def write_manifest(directory: Path, values: Any) -> None:
    from tagger.model_dir.manifest import dump_manifest

    values.pop("sha256", None)
    (directory / "manifest.json").write_bytes(dump_manifest(values))


class TooSlowError(BaseException):
    """An input took too long. This is not an Exception, so that no `except Exception` catches it."""


def too_slow(_number: int, _frame: Any) -> None:
    raise TooSlowError


def attempt(action: Callable[[], Any], found: Counter[str], kind: str) -> str | None:
    """Run one input; return a description of the problem, or None."""
    from tagger.errors import TaggerError

    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    start = time.perf_counter()
    try:
        action()
        found[f"{kind} read"] += 1
    except TaggerError as error:
        found[f"{kind} refused"] += 1
        if not str(error).strip() or not any(mark in str(error) for mark in ("expected", ";")):
            return f"a message without a remedy: {error}"
    except TooSlowError:
        return f"more than {SECONDS} s"
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    found["slowest, ms"] = max(found["slowest, ms"], int(1000 * (time.perf_counter() - start)))
    return None


def make_models(folder: Path) -> list[Path]:
    """Train two small models: one reads only words, the other reads everything that a network can read."""
    import subprocess

    (folder / "train").write_text("".join(f"w{i} N B-X\nv{i} V O\n\n" for i in range(8)))
    models = []
    for name, more in (("words", "columns: {token: 0, tag: -1}"), ("all", "columns: {token: 0, pos: 1, tag: 2}")):
        (folder / f"{name}.yaml").write_text(f"data: {{train: train, dev: train, {more}}}\n")
        full = name == "all"
        settings = {
            "training.epochs": 1, "model.units": 3, "model.embedding_dim": 3, "model.layers": 1 + full,
            "model.characters": "lstm" if full else "none", "model.character_units": 4, "model.character_dim": 2,
            "model.casing": full, "model.decoder": "crf" if full else "constrained",
        }  # fmt: skip
        overrides = [f"--set={key}={str(value).lower()}" for key, value in settings.items()]
        command = [sys.executable, "-m", "tagger", "train", f"{name}.yaml", *overrides, "--model", name]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        models.append(folder / name)
    return models


def fuzz(n: int, seed: int, folder: Path) -> tuple[Counter[str], list[str]]:
    from tagger.config import load_config
    from tagger.prediction.onnx_session import load_predictor

    rng, found, wrong = random.Random(seed), Counter[str](), list[str]()
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "configs").glob("*.yaml"))]
    texts.append((ROOT / "docs/config.md").read_text("utf-8").split("```yaml\n")[1].split("```")[0])
    models = make_models(folder)
    signal.signal(signal.SIGALRM, too_slow)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, hard))
    config, copy = folder / "c.yaml", folder / "model"

    def tag(directory: Path) -> None:
        predictor = load_predictor(directory, threads=1)
        n_features = len(predictor.model.encoder.features)
        for sentence in predictor.tag([["w1", "w2", "x"]] * 2, [[["N"] * 3] * n_features] * 2):
            if len(sentence.tags) != 3:
                raise AssertionError(f"found {sentence}, expected three tags")

    for i in range(n):
        if i % 2:
            content = damaged_config(rng, texts)
            config.write_bytes(content)
            problem = attempt(lambda: load_config(config), found, "configs")
        else:
            signed = rng.random() < 0.7
            shutil.rmtree(copy, ignore_errors=True)
            model = rng.choice(models)
            copy.mkdir()
            for path in model.iterdir():
                shutil.copyfile(path, copy / path.name)
            damage_model(rng, copy, signed)
            problem = attempt(lambda: tag(copy), found, f"{'signed' if signed else 'damaged'} models")
        if problem is not None:
            wrong.append(f"input {i} of seed {seed}: {problem}")
            print(wrong[-1], file=sys.stderr, flush=True)
            if len(wrong) >= 20:
                break
    found["peak, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        found, wrong = fuzz(arguments.inputs, arguments.seed, Path(folder))
    print(json.dumps({"inputs": arguments.inputs, **found, "wrong": len(wrong)}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
