"""The models of the catalogue as lines for `list models`, and as the page docs/models.md.

`python -m bench.commands.model_list` writes the page.
"""

from collections.abc import Iterator
from pathlib import Path

import yaml

from bench.catalogue.model_facts import ModelFacts, known_models

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
_ARXIV = "https://arxiv.org/abs/"
_NOT_READ = "?"

_ABOUT = """# Models by short name

<!-- made by `python -m bench.commands.model_list` from bench/catalogue/models.yaml; do not edit -->

A suite may name these models in place of their entries:
```yaml
models:
  - clip-l14
  - fare4-l14
  - Mine: sim-clip4-l14        # called Mine in tables
  - {radapt: clip-l14, anchor: {white: fare4-l14}, alpha: 1.0, cutoff: 40}   # radapt-clip-l14
  - Other: {radapt: clip-l14, anchor: {white: clip-l14}, alpha: 1.4, cutoff: 40}
```
In a mapping it is `models: {Mine: sim-clip4-l14}`. A short name has the identity of the entry that
it stands for: the results are those of a suite that writes the entry out.
`python run_bench.py list models` prints this list.

- `?`: the fact was not found in a public repository or on the model's page.
- **radius**: of the adversarial training, in the l-inf norm.
- **numbers**: tables with published numbers in `results/published/`, and the model's name there.
  A suite that is compared with a table (`against`) needs this name: `- FARE4: fare4-l14`.
- **loaded**: whether somebody has loaded the files with this project. On a machine with network,
  `python run_bench.py doctor --model NAME` downloads and loads a model, classifies 100 embedded
  images of CIFAR-10, and prints the line that replaces `verified: no` in
  `bench/catalogue/models.yaml`. Please send it.

To add a model, add it to `bench/catalogue/models.yaml`, and run
`python -m bench.commands.model_list`, which writes this page.
"""


def model_lines() -> Iterator[str]:
    """Yield a line per model: short name, what it is, licence, paper, and whether it was loaded."""
    for name, facts in known_models().items():
        licence, paper = facts.licence or _NOT_READ, facts.paper or _NOT_READ
        radius = f", radius {facts.radius}" if facts.radius else ""
        sources = f"licence: {licence}; arXiv: {paper}; loaded: {facts.state}"
        yield f"  {name:<24} {facts.what}{radius}; {sources}"


def page() -> str:
    """Return the page docs/models.md."""
    return "\n".join([_ABOUT, *_table(), "", *_files(), "", *_entries(), ""])


def _table() -> Iterator[str]:
    yield "| name | model | trained on | radius | activation | licence | paper | numbers | loaded |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, facts in known_models().items():
        cells = (
            *(f"`{name}`", facts.what, facts.trained or _NOT_READ, facts.radius),
            *(facts.activation, facts.licence or _NOT_READ, _paper(facts), _numbers(facts)),
            facts.state,
        )
        yield f"| {' | '.join(cells)} |"


def _files() -> Iterator[str]:
    yield "## Files to download by hand"
    yield "A model's cells fail, with this address and path, until its file is there."
    yield ""
    yield "| name | save as | from |"
    yield "|---|---|---|"
    for name, facts in known_models().items():
        if facts.model and facts.page:
            yield f"| `{name}` | `{facts.model['tower']}` | {facts.page} |"


def _entries() -> Iterator[str]:
    yield "## What the names stand for"
    yield "```yaml"
    for name, facts in known_models().items():
        if facts.model:
            entry = yaml.safe_dump(
                dict(facts.model), default_flow_style=True, sort_keys=False, width=10_000
            )
            yield f"{name}: {entry.strip()}"
    yield "```"


def _paper(facts: ModelFacts) -> str:
    return f"[{facts.paper}]({_ARXIV}{facts.paper})" if facts.paper else _NOT_READ


def _numbers(facts: ModelFacts) -> str:
    """Return the tables with published numbers of a model, and its names there."""
    tables: dict[str, list[str]] = {}
    for file, table, model in facts.published:
        tables.setdefault(file, []).append(f"{table} (`{model}`)")
    return "; ".join(f"{file}: {', '.join(found)}" for file, found in tables.items())


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
