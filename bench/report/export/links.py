"""Links of the page: checkpoints and papers of models, and pages of images."""

import re
from collections.abc import Iterator
from pathlib import Path

from bench.catalogue.model_facts import known_models
from bench.catalogue.weight_sources import HubCheckpoint, RepositoryFiles
from bench.suite.load import Suite

Links = list[tuple[str, str]]  # text and address
_HUB, _PAPERS = "https://huggingface.co", "https://arxiv.org/abs"
_PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def model_links(suite: Suite) -> dict[str, Links]:
    """Return the checkpoints and papers of each model, its parents' included, if known."""
    return {name: links_of(suite, name) for name in suite.models}


def links_of(suite: Suite, model: str) -> Links:
    """Return the checkpoints and papers of a model, its parents' included, if known."""
    return list(dict.fromkeys(_links(suite, model)))


def _links(suite: Suite, name: str) -> Iterator[tuple[str, str]]:
    spec = suite.models[name]
    for source in spec.weight_sources():
        if isinstance(source, HubCheckpoint | RepositoryFiles) and source.repository:
            yield source.repository, f"{_HUB}/{source.repository}"
    settings = spec.model_dump()
    for facts in known_models().values():
        named = dict(facts.model or {})
        named.pop("revision", None)  # a suite may leave it out
        if named and named.items() <= settings.items():
            if facts.page:
                yield "checkpoint", facts.page
            if facts.paper:
                yield _paper(facts.paper)
    for paper in _PAPER.findall(type(spec).__doc__ or ""):  # of a defence
        yield _paper(paper)
    for parent in spec.parents.values():
        yield from _links(suite, parent)


def _paper(number: str) -> tuple[str, str]:
    return f"arXiv:{number}", f"{_PAPERS}/{number}"


def pages_of_images(folder: Path) -> list[str]:
    """Return the ids of the cells that have a page of images in a results folder."""
    return sorted(path.stem for path in folder.glob("images/*.html"))
