"""The documents, and the commands and examples in them; for the tests of the documentation."""

from __future__ import annotations

import re

from helpers import ROOT

DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text("utf-8")
# In reading order, because the commands on a page may use files that commands on earlier pages have made.
PAGES = [
    "index", "tutorial", "file-format", "config", "commands", "python", "recipes", "label-less", "results", "benchmarks", "how-it-works",
    "model-directory", "architecture", "serving", "several-machines", "scale", "coming-from",
]  # fmt: skip
DOCUMENTS = [
    ROOT / "README.md", *(DOCS / f"{page}.md" for page in PAGES), *sorted((DOCS / "decisions").iterdir()),
    ROOT / "CONTRIBUTING.md",
]  # fmt: skip
# One epoch of a small network with a short graph is enough to show that a documented command works.
QUICK_PRETRAINING = ["--set=training.epochs=1", "--set=model.units=8", "--set=model.embedding_dim=8"]
QUICK_WITH_VECTORS = [
    *QUICK_PRETRAINING[:2], "--set=training.pretraining_epochs=0", "--set=model.layers=1", "--set=model.decoder=constrained",
    "--set=training.optimizer=adam", "--set=training.ema=null",
]  # fmt: skip
QUICK = [*QUICK_WITH_VECTORS, "--set=model.embedding_dim=8"]
# For the scripts behind the results, which train on whole corpora.
QUICK_RUN = [
    f"--set={one}"
    for one in (
        "training.epochs=1", "training.pretraining_epochs=0", "training.batch_size=64", "training.optimizer=adam",
        "training.ema=null",
        "model.units=8", "model.layers=1", "model.characters=none",
    )
]  # fmt: skip


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


def commands() -> list[str]:
    """Return the distinct lines of all `sh` blocks and of the `$ ` prompts in `console` blocks (terminal sessions)."""
    found: list[str] = []
    for path in DOCUMENTS:
        for language, block in re.findall(
            r"^```(sh|console)\n(.*?)^```$", path.read_text("utf-8"), re.DOTALL | re.MULTILINE
        ):
            lines = [line for line in block.splitlines() if line.strip()]
            found += lines if language == "sh" else [line[2:] for line in lines if line.startswith("$ ")]
    return list(dict.fromkeys(found))
