"""Check the promises of requirements/predict.txt from inside such an environment; `make predict-only` runs this.

    python scripts/checks/check_prediction_only.py MODEL FILE

Tags FILE with the command and from Python, scores it, and checks that nothing in the environment can train.
"""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

from tagger import Tagger

TOO_MUCH = ["tensorflow", "keras", "onnx", "pydantic", "yaml", "rich", "safetensors"]


def tagger(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("tagger")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, (arguments, done.returncode, done.stderr)
    return done


def main() -> None:
    model, file = sys.argv[1:]
    found = [name for name in TOO_MUCH if importlib.util.find_spec(name)]
    assert not found, f"{found} are installed: this is not an environment for prediction only"

    scores = json.loads(tagger("eval", file, "--model", model, "--json").stdout)
    assert scores["f1"] > 0.5, scores
    lines = tagger("predict", file, "--model", model).stdout.splitlines()
    original = Path(file).read_text("utf-8").splitlines()
    assert [line.rpartition("\t")[0] if line else "" for line in lines] == original

    same = json.loads(tagger("compare", model, model, file, "--json", "--samples", "100").stdout)
    # The two commands round the last bit of the same fraction differently.
    assert all(math.isclose(f1, scores["f1"], rel_tol=1e-14) for f1 in same["f1"]), (same, scores)

    tokens = [line.split("\t")[0] for line in original[: original.index("")]]
    (prediction,) = Tagger.load(model).tag([tokens])
    assert prediction.tags == [line.rpartition("\t")[2] for line in lines[: len(tokens)]]

    for command in (["train", "config.yaml"], ["export", "x"], ["doctor"], ["check", "--config", "x"]):
        (error,) = tagger(*command, code=1).stderr.splitlines()
        assert "this is an installation for prediction only; run pip install . in a clone of tagger" in error, error
    print(f"prediction only: F1 {scores['f1']:.4f} on {file}, {len(lines)} lines tagged, no TensorFlow")


if __name__ == "__main__":
    main()
