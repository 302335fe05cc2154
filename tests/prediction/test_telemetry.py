"""ONNX Runtime sends nothing to its maker, and writes nothing into the home folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_prediction_leaves_the_home_folder_empty(tmp_path: Path) -> None:
    """With telemetry, importing ONNX Runtime 1.32 writes a device id there."""
    unset = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"HOME": str(tmp_path)}
    program = "import os, tagger.prediction.onnx_session; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == "1\n"
    assert list(tmp_path.rglob("*")) == []
