"""The man pages hold everything that `--help` says, and no formatter complains about them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import ROOT, run_tagger
from make_man_pages import contexts, name_of, paragraphs, text, write

CONTEXTS = {name_of(context): context for context in contexts()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man") / "man1"
    assert {path.stem for path in write(folder)} == set(CONTEXTS)
    return folder


def shown(page: Path) -> str:
    """Return what a page shows, in one line; `man` is the oracle, which is not everywhere."""
    if shutil.which("man") is None or shutil.which("groff") is None:
        pytest.skip("man or groff is not installed")
    done = subprocess.run(
        ["man", "--local-file", "--warnings", "--no-hyphenation", str(page)],
        capture_output=True,
        text=True,
        check=True,
        env={"MANWIDTH": "4000", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    assert not done.stderr
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout).split())


def test_there_is_a_page_for_each_command() -> None:
    listed = re.findall(r"^  ([a-z]+)  ", run_tagger("--help").output.decode().partition("Commands:")[2], re.MULTILINE)
    assert {f"tagger-{name}" for name in listed} | {"tagger", "tagger-config-show"} == set(CONTEXTS)


@pytest.mark.parametrize("name", CONTEXTS)
def test_a_page_shows_each_word_of_the_help(name: str, folder: Path) -> None:
    page = shown(folder / f"{name}.1")
    context = CONTEXTS[name]
    for option in context.command.get_params(context):
        record = option.get_help_record(context)
        if record is not None and option.param_type_name == "option":
            assert " ".join(" ".join(record).split()) in page
    assert "-h, --help Show this message and exit." in page
    # The help of click, wrapped at its own width, is the other oracle.
    help_text = run_tagger(*name.split("-")[1:], "--help").output.decode()
    missing = {word for word in help_text.split() if word not in page}
    assert missing <= {"Usage:", "Options:", "Commands:"}


def test_mandoc_finds_nothing_wrong(folder: Path) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    pages = sorted(map(str, folder.iterdir()))
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stdout.splitlines() if "missing date" not in line]
    assert not complaints


def test_text_is_shown_as_it_is(tmp_path: Path) -> None:
    plain = ".SH a\\-b 'c' `d` --e ^~ \\fBf .g"
    page = tmp_path / "x.1"
    page.write_text(f".TH X 1\n.SH A\n{text(plain)}\n", "utf-8")
    assert f" A {plain} " in f" {shown(page)} "
    assert paragraphs("One\nline.\n\n\b\nkept\n.lines\n") == ["One line.", ".PP", ".nf", "kept", r"\&.lines", ".fi"]


def test_the_wheel_gets_the_pages() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert "[tool.hatch.build.targets.wheel.hooks.custom]" in project
    assert '"/hatch_build.py"' in project
