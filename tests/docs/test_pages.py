"""The pages of the documentation match the code and one another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click import Command, Group
from documented import DOCS, DOCUMENTS, PAGES, README, blocks, page
from helpers import ROOT
from test_imports import CHAIN

from tagger.cli.commands import cli
from tagger.config.keys import Config
from tagger.config.loading import config_keys, load_config
from tagger.config.meanings import MEANINGS
from tagger.errors import ConfigError
from tagger.formats.registry import FORMATS


def test_the_config_reference_is_the_schema_with_its_defaults() -> None:
    reference, *_ = blocks(page("config"), "yaml")
    values = yaml.safe_load(reference)
    assert [f"{section}.{key}" for section, keys in values.items() for key in keys] == config_keys()
    values["data"]["train"] = "x"
    assert Config.model_validate(values) == Config.model_validate({"data": {"train": "x"}})
    comments = [line.partition(" # ")[2] for line in reference.splitlines() if line.startswith("  ")]
    assert comments == [meaning for keys in MEANINGS.values() for meaning in keys.values()]


def test_every_command_and_option_is_documented() -> None:
    every: dict[str, Command] = dict(cli.commands)
    for name, group in cli.commands.items():
        if isinstance(group, Group):
            every |= {f"{name} {inner}": command for inner, command in group.commands.items()}
    for name, command in every.items():
        inner = "|".join([f"{one} " for one in getattr(command, "commands", {})] or ["$"])
        (synopsis,) = re.findall(rf"^\*\*`tagger {name} ((?!{inner}).*?)`\*\*$", page("commands"), re.MULTILINE)
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("-"):
                    assert re.search(rf"[\[| ]{option}\b", synopsis), (name, option)
                else:
                    assert option.upper().removesuffix("S") in synopsis, (name, option)
        assert set(re.findall(r"--[a-z-]+", synopsis)) <= {
            option for p in command.params for option in (*p.opts, *p.secondary_opts)
        }


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_is_valid_and_states_its_cost_or_its_data(path: Path) -> None:
    text = path.read_text("utf-8")
    if "  train: " in text:
        data = load_config(path).data
        assert all(Path(str(file)).is_file() for file in (data.train, data.dev, data.test)), "the files of a clone"
    else:
        with pytest.raises(
            ConfigError, match=rf"/{path.name}(:\d+)?: data.train: is missing.*pass --set data.train=FILE"
        ):
            load_config(path)
        load_config(path, ["data.train=x"])
        assert "--set data.train=" in text
    comment = text.split("data:")[0]
    assert re.search(r"^# .*(Costs|Make its files)", comment, re.MULTILINE)


def test_the_readme_is_short_and_its_sections_are_in_reading_order() -> None:
    assert len(README.splitlines()) <= 155
    assert re.findall(r"^## (.*)$", README, re.MULTILINE) == [
        "Install", "Your own file", "Commands", "From Python", "Three numbers", "How it works",
        "When to use something else", "More",
    ]  # fmt: skip
    assert set(re.findall(r"^\| \[`tagger (\w+)`\]", README, re.MULTILINE)) == set(cli.commands)
    (diagram,) = (block for block in blocks(README, "") if "forward LSTM" in block)
    assert diagram in page("how-it-works")


def test_every_config_example_in_the_documentation_is_valid(tmp_path: Path) -> None:
    for name in PAGES:
        for example in blocks(page(name), "yaml"):
            values = yaml.safe_load(example)
            values.setdefault("data", {})["train"] = "x"
            assert Config.model_validate(values), name


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub and the website make for the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_have_existing_targets() -> None:
    n_anchors = 0
    for path in [*DOCUMENTS, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]:
        text = path.read_text("utf-8")
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
            other = path.parent / target if target else path
            assert other.exists(), f"{path.name}: {target}"
            if anchor:
                assert anchor in anchors(other.read_text("utf-8")), f"{path.name}: {target}#{anchor}"
                n_anchors += 1
    assert n_anchors > 20


def test_every_page_is_in_the_index_and_on_the_website() -> None:
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert {f"{name}.md" for name in PAGES} | {
        f"decisions/{path.name}" for path in (DOCS / "decisions").iterdir()
    } == pages
    assert set(re.findall(r"\]\(([^)#]+\.md)\)", page("index"))) == pages - {"index.md"}
    website = (ROOT / "zensical.toml").read_text("utf-8")
    assert set(re.findall(r'= "([^"]+\.md)"', website)) == pages


def test_the_map_of_the_source_code_is_complete() -> None:
    text = page("architecture")
    rows = re.findall(r"^\| `(\w+)/` \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)
    drawn = {f"{room}/{name}" for room, names in rows for name in re.findall(r"`(\w+)`", names)}
    package = ROOT / "tagger"
    assert drawn == {
        path.relative_to(package).with_suffix("").as_posix()
        for path in package.glob("*/*.py")
        if path.name != "__init__.py"
    }
    for path in package.glob("[a-z]*.py"):
        assert f"`{path.name}`" in text
    for name in re.findall(r"`([\w/]+\.py)`", text):
        assert any((ROOT / base / name).exists() for base in ("", "tagger", "tagger/network")), name
    (chain,) = blocks(text, "text")
    assert [set(line.split(", ")) for line in chain.splitlines()] == [set(rooms) for rooms in CHAIN]


def test_every_format_is_documented() -> None:
    text = page("file-format").split("## Other formats")[1]
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \| (yes|no) \| (yes|no) \| (tags|characters) \|$", text, re.MULTILINE)
    of = {format_.name: format_ for format_ in FORMATS}
    assert {name for name, *_ in rows} == set(of) == set(re.findall("^### (.*)$", text, re.MULTILINE))
    for name, read, written, spans in rows:
        assert (read == "yes") == of[name].is_read, name
        assert (written == "yes") == of[name].is_written, name
        assert (spans == "tags") == of[name].flat, name
