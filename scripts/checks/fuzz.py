"""Read hostile configs, models, graphs, vectors and corpora: each must be read, or refused with a message, in time.

    python scripts/checks/fuzz.py                     # 100,000 inputs
    python scripts/checks/fuzz.py --inputs 500 --seed 7
    python scripts/checks/fuzz.py --without graph     # must find something: see switch_off.py

Each input depends only on the seed and its number; `--first N --inputs 1` repeats it. Some models have changed bytes,
which a checksum must detect. In others, files, the graph and values of the manifest are changed and signed with correct
checksums, as an attacker would do. What is read must be what was written: a graph that loads has the operators of the
original (the onnx package says so), weights have the shapes of the manifest, a model that loads must tag, and each line
gets one more column. No input may run code, open a connection, or write or read a file elsewhere.

The inputs get 2 GB of memory. Wrong is: a traceback, an exception that is not a `TaggerError`, more than 5 seconds (30
of waiting) for one input, and an error of ONNX Runtime, which must only see graphs that it can load. A second process
ends an input that hangs in native code, and counts one that crashes. Prints a line of JSON; exit code 1 means that
something was wrong.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import mmap
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hostile_files import (
    ALIAS_BOMB,
    MOST_CHARACTERS,
    corpus_file,
    damaged,
    damaged_config,
    odd_tags,
    put_odd_value,
    vector_files,
    with_odd_numbers,
)
from hostile_models import ROOT, Target, make_models, signature
from switches import MODELS, SWITCHES

MEMORY = 2 << 30  # bytes, on top of the memory of the libraries
SECONDS, WAITING = 5, 30  # of the processor, and of the clock, which other processes may slow down
MOST_WRONG = 20
# Files that tagging reads, and those that exporting reads instead of the graph.
OF_WEIGHTS = {"weights.safetensors"}
OF_NUMBERS = {*OF_WEIGHTS, "embeddings.bin"}
UNREAD = {"config.yaml", "history.csv"}
OTHER_NETWORKS: dict[str, list[Any]] = {
    "units": [1, 2, 4, 300, 8192], "layers": [1, 2, 3, 64, 2**31], "embedding_dim": [1, 2, 4, 8192],
    "characters": ["none", "cnn", "lstm"], "character_units": [2, 6, 2048], "character_dim": [1, 3, 8192],
    "casing": [True, False], "direction": ["both", "forward"], "merge": ["concat", "mul"], "feature_dim": [1, 3, 8192],
}  # fmt: skip
FORBIDDEN = {
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "pickle.find_class",
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "os.remove", "os.rename", "os.link",
    "os.symlink", "os.chmod", "shutil.rmtree", "ctypes.dlopen",
}  # fmt: skip


READABLE = ("/proc/", "/sys/", sys.prefix, sys.base_prefix, str(ROOT))


class TooSlowError(BaseException):
    """An input took too long. This is not an Exception, so that no `except Exception` catches it."""


class Wrong(Exception):  # noqa: N818
    """Something that must not happen, although no error was raised."""


class Watch:
    """A record of what an input did to the world outside its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._on, self.seen = str(folder), False, list[str]()
        sys.addaudithook(self._hook)

    def start(self) -> None:
        self._on, self.seen = True, []

    def stop(self) -> list[str]:
        self._on = False
        return self.seen

    def _hook(self, event: str, details: tuple[Any, ...]) -> None:
        if not self._on or not (event == "open" or event in FORBIDDEN):
            return
        path = os.fsdecode(details[0]) if details and isinstance(details[0], str | bytes | os.PathLike) else ""
        if path.startswith(self._folder):
            return  # the attacker itself
        if event in FORBIDDEN:
            self.seen.append(f"{event} {details!r}"[:200])
        elif path.startswith("/"):
            flags = details[2] if isinstance(details[2], int) else 0
            writes = bool(set(details[1] or "") & set("wax+")) or bool(flags & (os.O_WRONLY | os.O_RDWR))
            if writes or not path.startswith(READABLE):
                self.seen.append(f"open {path} {details[1]}"[:200])


# --- What is tried ---------------------------------------------------------------------------------------------------


Kind = tuple[float, str, Callable[[random.Random], None]]  # its share of the inputs, its name, what tries one


def _add_share(before: Kind, kind: Kind) -> Kind:
    return before[0] + kind[0], kind[1], kind[2]


class Attacker:
    """Makes and runs inputs by number."""

    def __init__(self, seed: int, folder: Path, models: list[Path]) -> None:
        from hostile_graphs import essence

        self.seed, self.folder = seed, folder
        self.targets = [Target(model, folder / f"attacked-{model.name}") for model in models]
        self.essences = {target.name: essence(target.files["model.onnx"]) for target in self.targets}
        self.texts = [path.read_text("utf-8") for path in sorted((ROOT / "configs").glob("*.yaml"))]
        self.texts.append((ROOT / "docs/config.md").read_text("utf-8").split("```yaml\n")[1].split("```")[0])
        self.kinds: list[Kind] = [
            (0.25, "configs", self.config),
            (0.15, "damaged models", self.damaged_model),
            (0.12, "signed files", self.signed_file),
            (0.16, "signed manifests", self.signed_manifest),
            (0.16, "signed graphs", self.signed_graph),
            (0.04, "odd files", self.odd_file),
            (0.06, "vectors", self.vectors),
            (0.06, "corpora", self.corpus),
        ]

    def run(self, number: int) -> tuple[str, Callable[[], None]]:
        """Return the kind of an input and the function that tries it."""
        rng = random.Random(f"{self.seed}/{number}")
        place = rng.random()
        chosen = next(
            (kind for kind in itertools.accumulate(self.kinds, _add_share) if place < kind[0]), self.kinds[-1]
        )
        return chosen[1], lambda: chosen[2](rng)

    def config(self, rng: random.Random) -> None:
        from tagger.config.loading import load_config
        from tagger.config.paths import PATH_KEYS
        from tagger.errors import TaggerError

        content, path = damaged_config(rng, self.texts), self.folder / "c.yaml"
        path.write_bytes(content)
        try:
            loaded = load_config(path)
        except TaggerError as error:
            if content == ALIAS_BOMB.encode() and "aliases that expand" not in str(error):
                raise Wrong(f"aliases were expanded: {error}") from None
            raise
        if len(content.decode("utf-8")) > MOST_CHARACTERS:
            raise Wrong(f"a config of {len(content)} bytes was read")
        for key in PATH_KEYS:
            section, _, name = key.partition(".")
            found = getattr(getattr(loaded, section), name)
            if isinstance(found, str) and "\0" in found:
                raise Wrong(f"{key} holds a NUL character")

    def damaged_model(self, rng: random.Random) -> None:
        target = rng.choice(self.targets)
        name = rng.choice(sorted(set(target.files) - UNREAD))
        content = damaged(rng, target.files[name])
        with target.restored():
            target.write(name, content)
            self.use(target, weights=name in OF_WEIGHTS or (name == "embeddings.bin" and rng.random() < 0.3))
            if content != target.files[name]:
                raise Wrong(f"the damage to {name} of {target.name} was not detected")

    def signed_file(self, rng: random.Random) -> None:
        target = rng.choice(self.targets)
        names = sorted(set(target.files) - UNREAD - {"manifest.json", "model.onnx"})
        name = rng.choice([*names, "tags.txt", "weights.safetensors"])
        with target.restored():
            change = with_odd_numbers if name in OF_NUMBERS else odd_tags if name == "tags.txt" else damaged
            change = change if rng.random() < 0.5 else damaged
            target.write_signed(name, change(rng, target.files[name]))
            self.use(target, weights=name in OF_WEIGHTS)

    def signed_manifest(self, rng: random.Random) -> None:
        target = rng.choice(self.targets)
        values = target.values()
        for _ in range(rng.randint(1, 2)):
            section = rng.choice([None, None, "layout", "network", "notation"])
            put_odd_value(rng, values if section is None or section not in values else values[section])
        if rng.random() < 0.3:  # another network, which would be valid with other weights
            values = target.values()
            key, choices = rng.choice(list(OTHER_NETWORKS.items()))
            values["network"][key] = rng.choice(choices)
        with target.restored():
            target.write_manifest(values)
            self.use(target, weights=rng.random() < 0.4)
            if signature(values) != signature(target.values()):
                raise Wrong(f"the weights of {target.name} do not fit {values.get('network')} {values.get('decoder')}")

    def signed_graph(self, rng: random.Random) -> None:
        from hostile_graphs import crafted, essence, with_odd_weights

        target = rng.choice(self.targets)
        change = with_odd_weights if rng.random() < 0.1 else crafted
        content = change(rng, target.files["model.onnx"])
        with target.restored():
            target.write_signed("model.onnx", content)
            self.use(target, weights=False)
            if essence(content) != self.essences[target.name]:
                raise Wrong(f"another graph than that of {target.name} was loaded")

    def odd_file(self, rng: random.Random) -> None:
        target = rng.choice(self.targets)
        name = rng.choice(sorted(set(target.files) - UNREAD))
        kind = rng.choice(["link", "link", "pipe", "pipe", "folder", "missing", "huge", "huge and signed"])
        with target.restored():
            if kind == "huge and signed" and name != "manifest.json":
                values = target.values()
                values["files"][name] = {"bytes": 1 << 40, "sha256": "0" * 64}
                target.write_manifest(values)
            target.replace(name, kind.partition(" ")[0])
            self.use(target, weights=name in OF_WEIGHTS)
            raise Wrong(f"{name} of {target.name} was replaced by: {kind}, and was read")

    def use(self, target: Target, *, weights: bool) -> None:
        """Load a model in one of two ways and use it."""
        from tagger.model_dir.store import load_model, read_weights
        from tagger.prediction.onnx_session import load_predictor
        from tagger.prediction.stream import tag_conll

        if weights:
            model = load_model(target.place, read_weights)
            if not all(abs(weight).max(initial=0) < float("inf") for weight in model.network.values()):
                raise Wrong("a weight is not finite")
            return
        predictor = load_predictor(target.place, threads=1)
        n_features = predictor.model.encoder.n_in_file
        for sentence in predictor.tag([["w1", "w2", "x"]] * 2, [[["N"] * 3] * n_features] * 2):
            if len(sentence.tags) != 3 or not all(0 <= p <= 1.0001 for p in sentence.probabilities):
                raise Wrong(f"found {sentence}, expected three tags with probabilities")
        columns = max(predictor.model.manifest.layout.columns.values(), default=0) + 1
        if columns > 50:
            return
        layout = predictor.model.manifest.layout
        lines = [(layout.separator or "\t").join(["w1", *["N"] * max(0, columns - 1)]), "w2", ""]
        lines = lines if columns == 1 else [lines[0], lines[0], ""]
        data = "".join(f"{line}\n" for line in lines).encode(layout.encoding)
        written = b"".join(tag_conll(predictor, io.BytesIO(data), layout, path="f"))
        check_rows(data, written, {layout.separator or "\t", layout.written_delimiter, " "}, layout.encoding)

    def vectors(self, rng: random.Random) -> None:
        from tagger.vectors.table import read_vectors

        path, must_fail = vector_files(rng, self.folder)
        found = read_vectors(path, max_rows=rng.choice([None, None, 3]))
        if must_fail or found.table.dtype.kind != "f":
            raise Wrong(f"{path.name} was read as vectors")

    def corpus(self, rng: random.Random) -> None:
        from tagger.corpus import lines

        name, content, expected = corpus_file(rng)
        path = self.folder / name
        path.write_bytes(content)
        with lines.open_corpus(path) as stream:
            blocks = lines.read_line_blocks(stream, path=path) if rng.random() < 0.5 else [[stream.read()]]
            found = b"".join(line for block in blocks for line in block)
        if found not in expected:
            raise Wrong(f"{name}: {len(content)} bytes were read as {found[:60]!r}, expected {expected!r:.60}")


def check_rows(before: bytes, after: bytes, delimiters: set[str], encoding: str) -> None:
    """Check that each line that is not blank has one more column."""
    if before.count(b"\n") != after.count(b"\n"):
        raise Wrong(f"{before!r} became {after!r}")
    for old, new in zip(before.split(b"\n"), after.split(b"\n"), strict=True):
        added = new[len(old) :].decode(encoding)
        # A tag may hold blanks if TABs separate the columns.
        tags = [
            added[len(delimiter) :].replace(" ", "_" if delimiter == "\t" else " ")
            for delimiter in delimiters
            if delimiter and added.startswith(delimiter)
        ]
        if not new.startswith(old) or (added and not any(tag and not set(tag) & set(" \t\r\n") for tag in tags)):
            raise Wrong(f"{old!r} became {new!r}")


# --- The process that runs the inputs -----------------------------------------------------------------------------


def queued(process: int | str = "self") -> float:
    """Return the seconds that a process has waited for a processor, which others may keep busy; 0 if unknown."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def too_slow(_number: int, _frame: Any) -> None:
    raise TooSlowError


def waited(_number: int, _frame: Any) -> None:
    """Stop an input that waits, but not one that other processes keep from running."""
    global _queued_before
    now = queued()
    lost, _queued_before = now - _queued_before, now
    if lost < 1:
        raise TooSlowError
    signal.setitimer(signal.ITIMER_REAL, min(lost, WAITING))


_queued_before = 0.0


def attempt(action: Callable[[], Any], watch: Watch) -> tuple[str, str | None]:
    """Run one input; return what happened and a description of the problem, or None."""
    from tagger.errors import TaggerError

    global _queued_before
    outcome, problem, _queued_before = "read", None, queued()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAITING)
    watch.start()
    try:
        action()
    except TaggerError as error:
        outcome, message = "refused", str(error)
        if not message.strip() or not any(mark in message for mark in ("expected", ";")):
            problem = f"a message without a remedy: {error}"
        elif "ONNX Runtime" in message and ("cannot be loaded" in message or "failed on" in message):
            problem = f"ONNX Runtime saw a graph that it cannot run: {error}"
    except TooSlowError:
        problem = f"more than {SECONDS} s, or waited for more than {WAITING} s"
    except Wrong as wrong:
        problem = str(wrong)
    except BaseException:
        problem = traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        seen = watch.stop()
    return outcome, f"did {seen}" if seen and problem is None else problem


def limit_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, hard))


def run_inputs(arguments: argparse.Namespace, folder: Path) -> None:
    """Run the inputs, and note the number of each in a shared file before it begins."""
    models = sorted(path for path in (folder / "models").iterdir())
    place = folder / f"inputs-{os.getpid()}"
    place.mkdir()
    attacker, watch = Attacker(arguments.seed, place, models), Watch(place)
    for number in range(3):  # imports everything
        attacker.use(attacker.targets[number], weights=bool(number % 2))
    if arguments.without is not None:
        SWITCHES[arguments.without]()
    signal.signal(signal.SIGPROF, too_slow)
    signal.signal(signal.SIGALRM, waited)
    limit_memory()
    found, wrong, reported = Counter[str](), list[str](), time.monotonic()
    with (folder / "number").open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
        for number in range(arguments.first, arguments.first + arguments.inputs):
            shared[:] = number.to_bytes(8, "little")
            kind, action = attacker.run(number)
            start = time.process_time()
            outcome, problem = attempt(action, watch)
            found[f"{kind} {outcome}"] += 1
            found["slowest, ms"] = max(found["slowest, ms"], int(1000 * (time.process_time() - start)))
            if problem is not None:
                wrong.append(f"input {number} of seed {arguments.seed} ({kind}): {problem}")
                print(wrong[-1], file=sys.stderr, flush=True)
            is_last = len(wrong) >= (1 if arguments.stop_at_first else MOST_WRONG)
            if is_last or time.monotonic() > reported + 1 or number == arguments.first + arguments.inputs - 1:
                found["peak, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
                fresh = folder / "report.new"
                fresh.write_text(json.dumps({"next": number + 1, "found": found, "wrong": wrong, "is_last": is_last}))
                fresh.rename(folder / "report")
                reported = time.monotonic()
            if is_last:
                break
    os._exit(0)  # a thread that hangs must not keep the process


# --- The process that watches it -------------------------------------------------------------------------------------


def watch_process(process: subprocess.Popen[bytes], shared: mmap.mmap) -> str | None:
    """Wait for the process; return a description if it was killed, or hung so that it had to be."""
    before, since, lost = b"", time.monotonic(), 0.0
    while process.poll() is None:
        time.sleep(0.1)
        now = bytes(shared)
        if now != before:
            before, since, lost = now, time.monotonic(), queued(process.pid)
        elif now != b"\xff" * 8 and time.monotonic() > since + 2 * WAITING + queued(process.pid) - lost:
            process.kill()
            process.wait()
            return "hung in native code"
    return None if process.returncode == 0 else f"ended the process with {process.returncode}"


def supervise(arguments: argparse.Namespace, folder: Path) -> tuple[Counter[str], list[str]]:
    """Run all inputs, starting a new process after one that hangs or crashes."""
    found, wrong, first = Counter[str](), list[str](), arguments.first
    end = arguments.first + arguments.inputs
    while first < end and len(wrong) < (1 if arguments.stop_at_first else MOST_WRONG):
        (folder / "number").write_bytes(b"\xff" * 8)
        (folder / "report").unlink(missing_ok=True)
        options = ["--first", str(first), "--inputs", str(end - first), "--seed", str(arguments.seed)]
        options += ["--without", arguments.without] if arguments.without else []
        options += ["--stop-at-first"] if arguments.stop_at_first else []
        with (folder / "number").open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
            process = subprocess.Popen([sys.executable, __file__, *options, "--child", str(folder)])
            try:
                problem = watch_process(process, shared)
            finally:
                process.kill()
            at = int.from_bytes(bytes(shared), "little")
        report = json.loads((folder / "report").read_text()) if (folder / "report").exists() else None
        if problem is not None and at == (1 << 64) - 1:
            raise SystemExit(f"the inputs could not be run: {problem}")
        if report is not None:
            wrong += report["wrong"]
            for name, n in report["found"].items():
                found[name] = max(found[name], n) if "," in name else found[name] + n
        if problem is not None:
            wrong.append(f"input {at} of seed {arguments.seed}: {problem}")
            print(wrong[-1], file=sys.stderr, flush=True)
        first = at + 1
    return found, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--without", choices=MODELS, metavar="CHECK", help="switch off one check, which must be noticed"
    )
    parser.add_argument("--stop-at-first", action="store_true", help="stop at the first input that goes wrong")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sys.dont_write_bytecode = True  # at the first import of a module, Python would write a file that no input asks for
    os.environ["OMP_NUM_THREADS"] = "1"
    if arguments.child is not None:
        run_inputs(arguments, arguments.child)
    memory = "/dev/shm"
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        folder = Path(name)
        (folder / "models").mkdir()
        make_models(folder / "models")
        found, wrong = supervise(arguments, folder)
    n_tried = sum(n for name, n in found.items() if "," not in name)
    print(json.dumps({"inputs": n_tried, **found, "seconds": round(time.monotonic() - start), "wrong": len(wrong)}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
