"""`tagger train` with stock Keras LSTM layers in the place of the fused kernel; for measure_results.py --stock."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from tagger import cli
from tagger.network import devices, pipeline
from tagger.network.lstm import Kernel


def choose_device(*arguments: Any, **options: Any) -> devices.Device:
    return dataclasses.replace(devices.choose_device(*arguments, **options), kernel=Kernel.PLAIN)


if __name__ == "__main__":
    pipeline.choose_device = choose_device
    sys.exit(cli.run(["train", *sys.argv[1:]]))
