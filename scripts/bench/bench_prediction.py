"""Compare prediction with tagger, PyTorch, Keras and python-crfsuite: start, files, engines alone, latency, memory.

    python scripts/bench/bench_prediction.py FILE                # needs: pip install '.[bench]' in a clone of tagger
    python scripts/bench/bench_prediction.py FILE --only start   # start | file | engine | latency | memory
    python scripts/bench/bench_prediction.py FILE --json bench.json --rounds 7
    python scripts/bench/bench_prediction.py FILE --full --only file engine  # characters, casing, two layers, a CRF
    python scripts/bench/bench_prediction.py FILE --full --int8              # and the same model with 8-bit weights
    python scripts/bench/bench_prediction.py FILE --full --against ../before # this checkout and another one

The model is trained on FILE for one epoch: E = H = 100, one layer, both directions, a vocabulary of 20,000. With
--full, it is the full recipe; PyTorch, the only rival then, has the same network with pytorch-crf, and `engine` takes
only the first sentences of FILE (--sentences). Sentences with a tag that is not IOB2 are left out. Contenders take
turns in processes of their own. Numbers are medians of the rounds; a ratio is the median of the rounds' ratios. With
--against, only the two checkouts are compared, both with this Python: whole processes of `tagger predict` on one
sentence, on FILE, and on FILE five times over.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from full_prediction_contenders import save_groups
from racing import WORDS_ONLY, Worker, machine, race, ratio, run_timed, turns

from tagger import Tagger
from tagger.corpus.conll import read_sentences
from tagger.corpus.layout import Layout
from tagger.corpus.lines import open_corpus
from tagger.inputs.vocabulary import TokenVocabulary

HERE = Path(__file__).parent
RIVALS = ["pytorch-packed", "pytorch-packed-workers", "pytorch-padded", "pytorch-padded-workers", "keras", "crfsuite"]
OF_WORDS = {"keras", "crfsuite"}  # rivals only of a network that reads words alone
PARTS = ["start", "file", "engine", "latency", "memory"]
IMPORTS = "python -c 'import onnxruntime, numpy, click'"
ONE_SENTENCE = b"The\nCity\nof\nLondon\nsaid\non\nMonday\nthat\nno\n.\n"
V, LARGE_V = 20_000, 400_000
FULL_RECIPE = ("embeddings.name=glove-6b-50d",)  # on top of the defaults


class Bench:
    """The measurements; each one prints a table and returns its numbers."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments, self.folder = arguments, folder
        self.file = folder / "corpus.conll"
        self.sentences = self._write_corpus(arguments.file)
        self.n_tokens = sum(map(len, self.sentences))
        self.model = folder / "model"
        self._train()

    def _write_corpus(self, path: str) -> list[list[str]]:
        """Write FILE without the sentences that training would refuse; return the tokens of the others."""
        sentences = []
        with open_corpus(path) as stream, self.file.open("wb") as out:
            for sentence in read_sentences(stream, Layout(columns={"token": 0, "tag": -1}), path=path, gold=True):
                if all(re.fullmatch("O|[BI]-.+", tag) for tag in sentence.tags):
                    out.writelines(sentence.lines)
                    sentences += [sentence.tokens] * bool(sentence.tokens)
        return sentences

    def _train(self) -> None:
        config = self.folder / "config.yaml"
        config.write_text(
            f"data: {{train: corpus.conll, dev: 0.01}}\nvocabulary: {{max_size: {V - 2}}}\ntraining: {{epochs: 1}}\n"
        )
        if self.arguments.model is not None:
            self.model = self.arguments.model.resolve()
            return
        recipe = FULL_RECIPE if self.arguments.full else WORDS_ONLY
        settings = [f"--set={setting}" for setting in recipe]
        self._run("-m", "tagger", "train", str(config), "--model", str(self.model), *settings)
        if "crfsuite" in self.arguments.rivals:
            script = str(HERE / "tag_with_crfsuite.py")
            n = str(self.arguments.crfsuite_sentences)
            self._run(script, "train", str(self.file), str(self.folder / "crf"), "--sentences", n)

    def _run(self, *arguments: str) -> None:
        print(f"  {' '.join(arguments[:4])} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, *arguments], check=True, cwd=self.folder, stdout=sys.stderr)

    def _command(self, *arguments: str, model: Path | None = None) -> list[str]:
        """Return a command line of the installed `tagger`, which is the script beside Python."""
        options = ["--model", str(model)] if model else []
        return [str(Path(sys.executable).with_name("tagger")), *arguments, *options]

    def _race_of_commands(self, commands: dict[str, list[str]], **how: Any) -> dict[str, dict[str, list[float]]]:
        for command in commands.values():
            run_timed(command, **how)  # warm up: compiles bytecode and caches files
        found: dict[str, dict[str, list[float]]] = {name: {"seconds": [], "peak_mb": []} for name in commands}
        for i, name in turns(list(commands), self.arguments.rounds):
            cost = run_timed(commands[name], **how)
            found[name]["seconds"].append(cost.seconds)
            found[name]["peak_mb"].append(cost.peak_mb)
            print(f"  round {i}  {name:28} {cost.seconds:8.3f} s", file=sys.stderr, flush=True)
        return found

    def start(self) -> dict[str, Any]:
        sentence = self.folder / "sentence"
        sentence.write_bytes(ONE_SENTENCE)
        imports = [sys.executable, "-c", "import onnxruntime, numpy, click"]
        commands = {
            IMPORTS: imports,
            f"tagger predict, V = {V:,}": self._command("predict", model=self.model),
            f"tagger predict, V = {LARGE_V:,}": self._command("predict", model=self._large_model()),
            "tagger --help": self._command("--help"),
            "completion of `tagger pre`": [
                *("env", "_TAGGER_COMPLETE=bash_complete", "COMP_WORDS=tagger pre", "COMP_CWORD=1"),
                *self._command(),
            ],
        }
        if "crfsuite" in self.arguments.rivals:
            script = str(HERE / "tag_with_crfsuite.py")
            commands["python-crfsuite"] = [sys.executable, script, "tag", str(self.folder / "crf"), "-"]
        found = self._race_of_commands(commands, stdin=sentence)
        print("\nOne sentence, from the start of the process to its end\n")
        print(f"| | seconds | × {IMPORTS} | peak MB |\n|---|---|---|---|")
        for name, cost in found.items():
            by = ratio(cost["seconds"], found[IMPORTS]["seconds"])
            print(
                f"| {name} | {statistics.median(cost['seconds']):.2f} | {by:.2f} |"
                f" {statistics.median(cost['peak_mb']):.0f} |"
            )
        return found

    def _large_model(self) -> Path:
        """Make the same model with further tokens, which never occur."""
        from tagger.model_dir.store import load_model, read_weights, save_model
        from tagger.network.onnx_export import model_graph

        directory = self.folder / "large"
        model = load_model(self.model, read_weights)
        n_more = LARGE_V - len(model.encoder.tokens)
        tokens = (*model.encoder.tokens.tokens, *(f"word-{i}" for i in range(n_more)))
        table = model.network["embedding"]
        rows = np.random.default_rng(1).normal(size=(n_more, table.shape[1])).astype(np.float32)
        weights = {**model.network, "embedding": np.concatenate([table, rows])}
        encoder = dataclasses.replace(model.encoder, tokens=TokenVocabulary(tokens, model.manifest.normalization))
        large = dataclasses.replace(model, directory=directory, encoder=encoder, network=weights)
        save_model(large, graph=model_graph(large), config="", history="")
        return directory

    def _int8_model(self) -> Path:
        """Make the same model with 8-bit weights."""
        from tagger.model_dir.manifest import Quantization
        from tagger.model_dir.store import load_model, read_weights, save_model
        from tagger.network.onnx_export import model_graph

        directory = self.folder / "int8"
        if not directory.exists():
            model = load_model(self.model, read_weights)
            manifest = dataclasses.replace(model.manifest, quantization=Quantization(weights="int8"))
            quantized = dataclasses.replace(model, directory=directory, manifest=manifest)
            save_model(quantized, graph=model_graph(quantized), config="", history="")
            sizes = [(path / "model.onnx").stat().st_size / 1e6 for path in (self.model, directory)]
            print(f"\nThe graph has {sizes[0]:.2f} MB with 32-bit weights and {sizes[1]:.2f} MB with 8-bit weights")
        return directory

    def file_(self) -> dict[str, Any]:
        commands = {
            "tagger predict": self._command("predict", str(self.file), model=self.model),
            "tagger predict --threads 1": self._command("predict", str(self.file), "--threads", "1", model=self.model),
        }
        if self.arguments.int8:
            commands["8-bit weights"] = self._command("predict", str(self.file), model=self._int8_model())
            commands["8-bit weights, --threads 1"] = [*commands["8-bit weights"], "--threads", "1"]
        if "crfsuite" in self.arguments.rivals:
            script = str(HERE / "tag_with_crfsuite.py")
            commands["python-crfsuite"] = [sys.executable, script, "tag", str(self.folder / "crf"), str(self.file)]
        found = self._race_of_commands(commands)
        print(f"\nA file of {self.n_tokens:,} tokens, from the start of the process to its end\n")
        print("| | tokens/s | tagger predict is … times as fast | peak MB |\n|---|---|---|---|")
        for name, cost in found.items():
            by = ratio(cost["seconds"], found["tagger predict"]["seconds"])
            speed = self.n_tokens / statistics.median(cost["seconds"])
            print(f"| {name} | {speed:,.0f} | {by:.2f} | {statistics.median(cost['peak_mb']):.0f} |")
        return found

    def against(self) -> dict[str, Any]:
        sentence, large = self.folder / "sentence", self.folder / "large.conll"
        sentence.write_bytes(ONE_SENTENCE)
        large.write_bytes(self.file.read_bytes() * 5)
        checkouts = {"this": HERE.parents[1], "other": self.arguments.against.resolve()}
        found = {}
        print("\nWhole processes of tagger predict\n")
        print(
            "| input | other takes … times as long | seconds: this, other | peak MB: this, other |\n|---|---|---|---|"
        )
        for what, path in (("one sentence", sentence), ("FILE", self.file), ("FILE five times", large)):
            commands = {
                name: [
                    *("env", "-u", "PYTHONDONTWRITEBYTECODE", f"PYTHONPATH={checkout}", sys.executable, "-m"),
                    *("tagger", "predict", str(path), "--model", str(self.model)),
                ]
                for name, checkout in checkouts.items()
            }
            outputs = [subprocess.run(command, check=True, capture_output=True).stdout for command in commands.values()]
            same = "" if outputs[0] == outputs[1] else "; THE TAGS DIFFER"
            found[what] = costs = self._race_of_commands(commands)
            by = ratio(costs["other"]["seconds"], costs["this"]["seconds"])
            seconds, peaks = (
                [statistics.median(costs[name][key]) for name in checkouts] for key in ("seconds", "peak_mb")
            )
            print(
                f"| {what}{same} | {by:.2f} | {seconds[0]:.2f}, {seconds[1]:.2f} | {peaks[0]:.0f}, {peaks[1]:.0f} |",
                flush=True,
            )
        return found

    def engine(self) -> dict[str, Any]:
        model, data = Tagger.load(self.model)._predictor.model, self.folder / "ids.npz"
        if self.arguments.full:
            save_groups(data, model, self.sentences[: self.arguments.sentences])
        else:
            ids = [model.encoder.tokens.encode(tokens) for tokens in self.sentences]
            np.savez(data, token_ids=np.concatenate(ids), lengths=[len(some) for some in ids])
        script = "full_prediction_contenders.py" if self.arguments.full else "prediction_contenders.py"
        shared = {"data": str(data), "model": str(self.model)}
        rivals = [name for name in self.arguments.rivals if name != "crfsuite"]
        specs = {name: {"contender": name, **shared} for name in ["tagger", *rivals]}
        specs["tagger, 1 thread"] = {"contender": "tagger", "threads": 1, **shared}
        if self.arguments.int8:
            int8 = {**shared, "model": str(self._int8_model()), "reference": str(self.model)}
            specs["tagger, 8-bit weights"] = {"contender": "tagger", **int8}
            specs["tagger, 8-bit weights, 1 thread"] = {"contender": "tagger", "threads": 1, **int8}
        answers: dict[str, dict[str, Any]] = {}

        def run(name: str, worker: Worker, _: int) -> float:
            answers[name] = worker.ask()
            return answers[name]["tokens"] / answers[name]["seconds"]

        speeds = race(HERE / script, specs, run, rounds=self.arguments.rounds)
        print("\nThe network alone: ids in, a tag for each token out\n")
        print(
            "| | tokens/s | tagger is … times as fast | batch tokens | logits differ by | equal tags |\n|" + "---|" * 6
        )
        for name, values in speeds.items():
            answer = answers[name]
            same = f"{100 * answer['same_tags']:.2f} %" if "same_tags" in answer else ""
            print(
                f"| {name} | {statistics.median(values):,.0f} | {ratio(speeds['tagger'], values):.2f} |"
                f" {answer['batch_tokens']} | {answer['differs_by']:.0e} | {same} |"
            )
        return {"tokens_per_second": speeds, "last": answers}

    def latency(self) -> dict[str, Any]:
        tagger = Tagger.load(self.model)
        tokens = [token for tokens in self.sentences for token in tokens]
        calls = [[tokens[i : i + 25]] for i in range(0, 25 * self.arguments.calls, 25)]
        calls = [call for call in calls if len(call[0]) == 25]
        for call in calls[:100]:
            tagger.tag(call)
        times = []
        for call in calls:
            start = time.perf_counter()
            tagger.tag(call)
            times.append(1000 * (time.perf_counter() - start))
        times.sort()
        found = {f"p{share}": times[len(times) * share // 100] for share in (50, 90, 99)}
        print(f"\nTagger.tag of one sentence of 25 tokens, {len(times)} calls, in milliseconds\n")
        print("| " + " | ".join(found) + " |\n|" + "---|" * len(found))
        print("| " + " | ".join(f"{value:.2f}" for value in found.values()) + " |")
        return found

    def memory(self) -> dict[str, Any]:
        found = {}
        sentence = ONE_SENTENCE.replace(b"\n", b"\tO\n") + b"\n"
        for millions in self.arguments.millions:
            path = self.folder / "input.conll"
            n_sentences = round(millions * 1e6 / sentence.count(b"\n"))
            with path.open("wb") as file:
                for _ in range(n_sentences // 1000):
                    file.write(sentence * 1000)
            found[millions] = run_timed(self._command("predict", str(path), model=self.model)).peak_mb
            path.unlink()
        least = min(found.values())
        print("\nPeak memory of tagger predict as its input grows\n\n| million lines | peak MB | |\n|---|---|---|")
        for millions, peak in found.items():
            print(f"| {millions:g} | {peak:.0f} | +{100 * (peak / least - 1):.1f} % |")
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="a CoNLL file with IOB2 tags, which may be .gz")
    parser.add_argument("--full", action="store_true", help="the full recipe: characters, casing, GloVe, CRF")
    parser.add_argument("--int8", action="store_true", help="`file` and `engine` with 8-bit weights too")
    parser.add_argument("--model", type=Path, metavar="DIR", help="a model to use, in the place of one trained here")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="compare with another checkout, and only that")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=RIVALS)
    parser.add_argument("--sentences", type=int, default=8192, help="sentences that `engine` takes with --full")
    parser.add_argument("--calls", type=int, default=2000, help="calls of the API for `latency`")
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 4, 10], help="millions of lines for `memory`")
    parser.add_argument(
        "--crfsuite-sentences", type=int, default=5000, help="sentences that python-crfsuite learns from"
    )
    parser.add_argument("--json", metavar="PATH", help="file for all measurements")
    arguments = parser.parse_args()
    if arguments.against is not None:
        arguments.only, arguments.rivals = ["against"], []
    if arguments.full:
        arguments.rivals = [name for name in arguments.rivals if name not in OF_WORDS]
    packages = ["onnxruntime", "numpy"]
    packages += ["torch"] * any(name.startswith("pytorch") for name in arguments.rivals)
    packages += ["pytorch-crf"] * ("torch" in packages and arguments.full)
    packages += ["keras"] * ("keras" in arguments.rivals)
    packages += ["python-crfsuite"] * ("crfsuite" in arguments.rivals)
    found: dict[str, Any] = {"machine": machine(packages), "rounds": arguments.rounds}
    print(json.dumps(found))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, Path(folder))
        for part in arguments.only:
            found[part] = getattr(bench, "file_" if part == "file" else part)()
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
