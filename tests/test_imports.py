"""The rules of imports: the packages form one chain, and each heavy library is confined to its own package."""

from __future__ import annotations

import ast
import functools
import graphlib
import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers import ROOT

# Each room (a package or a top-level module of tagger) may import its own modules and the rooms on the lines above.
CHAIN = (
    {"wording", "stand_ins"},
    {"errors"},
    {"inputs", "machine", "filesystem"},
    {"architecture", "atomic", "locks", "corpus"},
    {"text"},
    {"vectors", "lexicons", "model_dir", "formats", "frames"},
    {"config"},
    {"check"},
    {"prediction"},
    {"evaluation", "api"},
    {"report", "server"},
    {"network"},
    {"pretraining"},
    {"training"},
    {"init", "runs", "integrations"},
    {"cluster", "sweep"},
    {"cli"},
)
LEVELS = {room: level for level, rooms in enumerate(CHAIN) for room in rooms}
# Heavy or optional libraries, and the rooms that may import them.
CONFINED = {
    "tensorflow": {"network"},
    "keras": {"network"},
    "onnx": {"network"},
    "pydantic": {"config"},
    "yaml": {"config"},
    "onnxruntime": {"prediction", "network"},  # network uses its quantizer
    "click": {"cli"},
    "rich": {"cli"},
    "seqeval": {"evaluation"},
    "scipy": {"evaluation"},
    "pyarrow": {"formats"},
    "spacy": {"formats", "text", "integrations"},
    "sentencex": {"text"},
    "icu4py": {"text"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "altair": {"report"},
    "vl_convert": {"report"},
    "gensim": {"vectors"},
    "starlette": {"server"},
    "uvicorn": {"server"},
    "httptools": {"server"},
    "uvloop": {"server"},
    "prometheus_client": {"server"},
    "tensorboard": {"training"},
    "mlflow": {"training"},
    "pandas": {"frames", "api"},  # for its types alone
    "sklearn": {"integrations"},
    "ray": {"cluster"},
    "optuna": {"sweep"},
    "sqlalchemy": {"sweep", "training"},
}


@functools.cache
def modules() -> Mapping[str, Path]:
    """Return all modules by name, such as `corpus.lines`, except `__init__` and `__main__` of tagger itself."""
    package = ROOT / "tagger"
    names = {path: path.relative_to(package).with_suffix("").parts for path in package.rglob("*.py")}
    return {
        ".".join(part for part in parts if part != "__init__"): path
        for path, parts in names.items()
        if parts not in (("__init__",), ("__main__",))
    }


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Return all modules that a file imports, including imports in functions and for type checkers."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: found a relative import"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def own_imports(path: Path) -> set[str]:
    """Return the modules of tagger that a file imports, with the names that `modules` uses."""
    known = modules()
    named = {name.removeprefix("tagger.") for name in imports(path) if name.startswith("tagger.")}
    return {name for name in named if name in known and known[name] != path}


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_rooms_before_its_own(name: str) -> None:
    room = name.split(".")[0]
    assert room in LEVELS, f"{room} is not in the chain; add it here and to docs/architecture.md"
    for imported in own_imports(modules()[name]):
        other = imported.split(".")[0]
        assert other == room or LEVELS[other] < LEVELS[room], f"{name} imports {imported}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_heavy_library_is_imported_only_in_its_room(name: str) -> None:
    libraries = {library.split(".")[0] for library in imports(modules()[name])}
    for library in libraries & set(CONFINED):
        assert name.split(".")[0] in CONFINED[library], f"{name} imports {library}"


def test_imports_have_no_cycles() -> None:
    graph = {name: own_imports(path) for name, path in modules().items()}
    packages = {name for name, path in modules().items() if path.name == "__init__.py"}
    order = list(graphlib.TopologicalSorter({name: graph[name] - packages for name in graph}).static_order())
    assert set(order) == set(graph)


def test_the_tests_above_find_every_kind_of_import(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tagger.cli.commands import cli\n"
        "def f():\n    from tagger import machine\n    import tensorflow as tf\n"
    )
    assert own_imports(module) == {"cli.commands", "machine"}
    assert "tensorflow" in imports(module)
    assert all(not rooms & others for rooms, others in itertools.combinations(CHAIN, 2))
