"""The factory of the spaCy component `twobranch_tagger`, which spaCy finds by an entry point of this package.

spaCy imports this file with its first pipeline, whatever that consists of. So the component, and all that it needs, is
imported when a pipeline names it.
"""
# Without `from __future__ import annotations`: spaCy checks a component's config by the types of its factory.

from typing import Any

from tagger.errors import TaggerError

try:
    from spacy.language import Language
except ImportError:
    raise TaggerError(
        "twobranch_tagger: found no spaCy, expected it to run a pipeline; run pip install '.[spacy]' in a clone of"
        " tagger"
    ) from None

NAME = "twobranch_tagger"  # `tagger` is one of spaCy's own


def make_component(
    nlp: Language,
    name: str,
    model: str,
    tokens: str,
    alignment: str,
    overwrite: bool,
    spans_key: str | None,
    min_probability: float | None,
    threads: int | None,
) -> Any:
    """Return the component that a config of spaCy describes; see `spacy_component.TaggerComponent`."""
    from tagger.integrations.spacy_component import TaggerComponent

    return TaggerComponent(
        nlp.lang, name, model=model, tokens=tokens, alignment=alignment, overwrite=overwrite, spans_key=spans_key,
        min_probability=min_probability, threads=threads,
    )  # fmt: skip


Language.factory(
    NAME,
    func=make_component,
    assigns=["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type"],
    default_config={
        "tokens": "spacy", "alignment": "expand", "overwrite": False, "spans_key": None, "min_probability": None,
        "threads": None,
    },
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)  # fmt: skip
