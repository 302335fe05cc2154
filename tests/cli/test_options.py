"""The record of the model that was trained last."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from tagger.cli.commands import cli
from tagger.cli.options import POINTER, Finite, SeveralValues, named_or_last_model, remember_model, with_own_options
from tagger.errors import ModelError

REMEDY = "; delete it, or name a model with --model"


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAGGER_MODEL", raising=False)


def error() -> str:
    with pytest.raises(ModelError) as caught:
        named_or_last_model(None)
    assert named_or_last_model("given") == Path("given")
    return caught.value.message


@pytest.mark.parametrize("name", ["models/my", " a b ", "\udcff", "é", "-x"])
def test_the_model_is_remembered(name: str) -> None:
    remember_model(name)
    assert named_or_last_model(None) == Path(name)


def test_a_record_of_another_kind_is_refused_and_never_waited_for() -> None:
    assert error().startswith("--model: found no model: ")
    os.mkfifo(POINTER)
    assert error() == f".tagger-model: is not a file, expected one with the path of a model{REMEDY}"
    POINTER.unlink()
    POINTER.mkdir()
    assert error() == f".tagger-model: is not a file, expected one with the path of a model{REMEDY}"
    with pytest.raises(OSError, match="Is a directory"):
        remember_model("m")  # `train` warns of it
    POINTER.rmdir()
    for target in ("/dev/zero", "/etc/passwd", "/nowhere"):
        POINTER.symlink_to(target)
        assert error() == f".tagger-model: is a link, expected a file{REMEDY}"
        POINTER.unlink()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "0 bytes"),
        (b"\n", "1 bytes"),
        (b"a\nb\n", "4 bytes"),
        (b"a\0b\n", "4 bytes"),
        (b"x" * 8193, "more than 8192 bytes"),
    ],
)
def test_a_record_with_other_content_is_refused(content: bytes, found: str) -> None:
    POINTER.write_bytes(content)
    assert error() == f".tagger-model: found {found}, expected one line with the path of a model{REMEDY}"


def test_a_huge_record_is_not_read() -> None:
    POINTER.write_bytes(b"m\n")
    os.truncate(POINTER, 1 << 40)
    assert "found more than 8192 bytes" in error()


def test_a_pipe_or_a_link_under_the_name_of_the_new_record_is_not_used(tmp_path: Path) -> None:
    fresh = Path(f".{POINTER.name}.{os.getpid()}.new")
    os.mkfifo(fresh)
    with pytest.raises(OSError, match="No such device"):
        remember_model("m")
    Path("mine").write_text("mine")
    fresh.symlink_to("mine")
    with pytest.raises(OSError, match="Too many levels"):
        remember_model("m")
    assert Path("mine").read_text() == "mine"
    remember_model("m")
    assert named_or_last_model(None) == Path("m")


def test_messages_name_the_options_that_the_running_command_has() -> None:
    text = "set data.format, data.scheme, data.align or data.encoding"
    for name, expected in (
        ("convert", "set --from, --from-scheme, --align or --encoding"),
        ("check", "set data.format, --scheme, data.align or --encoding"),
        ("eval", "set data.format, data.scheme, data.align or --encoding"),
        ("predict", "set --from, data.scheme, data.align or --encoding"),
        ("train", text),
    ):
        with click.Context(cli.commands[name]):
            assert with_own_options(text) == expected


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("c --teachers a b --quiet", ("c", "a b", "", True)),
        ("c --teachers a --teachers b c2 --text x y", ("c", "a b c2", "x y", False)),
        ("c --teachers=a b --text=- z", ("c", "a b", "- z", False)),
        ("--teachers a --quiet c", ("c", "a", "", True)),
        ("c --one a --text x", ("c", "", "x", False)),
        ("--teachers a b -- c", ("c", "a b", "", False)),
        ("--teachers a --quiet -- --teachers", ("--teachers", "a", "", True)),
        ("--teachers a --text= c", "error: FILE: found none, expected it before --text, "),
        ("--teachers a b c", "error: FILE: found none, expected it before --teachers, "),
        ("--quiet", "error: Missing argument 'FILE'."),
        ("c --teachers --text x", "error: --teachers: found no value, expected one or more; name them"),
        ("c --teachers a --text", "error: --text: found no value, "),
        ("c --text -- x", "error: --text: found no value, "),
    ],
)
def test_an_option_may_take_several_values(arguments: str, found: tuple[str, str, str, bool] | str) -> None:
    @click.command(cls=SeveralValues)
    @click.argument("file")
    @click.option("--teachers", multiple=True, metavar="DIR...")
    @click.option("--text", multiple=True, metavar="FILE...")
    @click.option("--one", multiple=True, metavar="DIR")
    @click.option("--quiet", is_flag=True)
    def command(file: str, teachers: tuple[str, ...], text: tuple[str, ...], one: tuple[str, ...], quiet: bool) -> None:
        seen.append((file, " ".join(teachers), " ".join(text), quiet))

    seen: list[tuple[str, str, str, bool]] = []
    if isinstance(found, str):
        with pytest.raises(click.UsageError) as caught:
            command.main(arguments.split(), standalone_mode=False)
        assert f"error: {caught.value.format_message()}".startswith(found)
        return
    command.main(arguments.split(), standalone_mode=False)
    assert seen == [found]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "1e999"])
def test_a_number_is_finite(value: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is not in the range x>=0\.$"):
        Finite(0).convert(value, None, None)
    assert Finite(0).convert("0.5", None, None) == 0.5
