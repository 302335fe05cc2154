"""Renders a report as one page that asks nobody for anything, and writes it in one step.

All text is escaped by the templates; control characters are shown as in messages. The policy in the head of the page
allows its own style and script, and no request.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger.atomic import write_atomically
from tagger.errors import DataError
from tagger.evaluation.error_table import check_target
from tagger.report.sentences import ListedSentence
from tagger.wording import visible

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_START = b'<!doctype html>\n<html lang="en" data-written-by="tagger report">\n'  # a file that begins so may be replaced


def report_target(path: str) -> Path:
    """Return the place of the page; links are followed.

    Raises:
        DataError: something else than a report is there, which would be lost, or there is no folder for it.
    """
    return check_target(path, _START, "a page of tagger report")


def render(context: Mapping[str, Any], template: str = "report.html") -> bytes:
    """Return the page.

    Args:
        context: the values that the template names.
        template: the template.
    """
    from markupsafe import Markup

    style, script = ((_TEMPLATES / name).read_text("utf-8") for name in ("report.css", "report.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = (
        _environment()
        .get_template(template)
        .render(
            **context,
            style=Markup(style),
            script=Markup(script),
            script_digest=digest,
        )
    )
    return _START + page.encode()


@dataclasses.dataclass(frozen=True)
class SentenceList:
    """A list of sentences that can be filtered.

    Attributes:
        entries: the items, as HTML.
        n_left_out: the number of sentences that follow them and are left out.
        kinds: the kinds by which they are found; an item holds the indices of its own.
        types: the types by which they are found, in order, each with the number that items hold.
    """

    entries: list[Markup]
    n_left_out: int
    kinds: Sequence[str]
    types: list[tuple[int, str]]


def render_sentences(
    sentences: Iterable[ListedSentence], kinds: Sequence[str], most: int, n_bytes: int
) -> SentenceList:
    """Return sentences as a list, up to a number and a size.

    Args:
        kinds: all kinds that the sentences may have.
        most: the highest number of items.
        n_bytes: the size that all items may have together.
    """
    from markupsafe import Markup

    template = _environment().get_template("sentence.html")
    kind_ids = {name: i for i, name in enumerate(kinds)}
    type_ids: dict[str, int] = {}
    items, left_out = list[Markup](), 0
    for sentence in sentences:
        if not left_out and len(items) < most:
            labels = " ".join(
                f"{kind_ids[kind]}:{type_ids.setdefault(name, len(type_ids))}" for kind, name in sorted(sentence.labels)
            )
            item = template.render(sentence=sentence, labels=labels)
            n_bytes -= len(item.encode())
            if n_bytes >= 0:
                items.append(Markup(item))
                continue
        left_out += 1
    return SentenceList(
        items, left_out, kinds, sorted(((i, name) for name, i in type_ids.items()), key=lambda one: one[1])
    )


def write_page(path: Path, page: bytes) -> None:
    """Write the page in one step.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        write_atomically(path, page)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}; choose another place", path=path) from None


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda fraction: f"{100 * fraction:.2f}"
    environment.filters["signed"] = lambda fraction: f"{100 * fraction:+.2f}"
    return environment
