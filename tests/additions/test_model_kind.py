"""A kind of model is added in three files: `docs/recipes/model_kind.md`."""

import json
from pathlib import Path

from tests.support.additions import Copy

SPECS = "bench/suite/specs/models.py"
BUILDERS = "bench/models/__init__.py"

SPEC = '''

class InterpolatedModel(Model):
    """A declared model with a tower between its own and a fine-tuned one (arXiv 2109.01903)."""

    model_keys: ClassVar = ("base", "tuned")

    kind: Literal["interpolated"]
    base: Name
    tuned: Name
    share: Annotated[float, Field(ge=0, le=1)]

    @property
    def architecture_of(self) -> str:
        """The model whose text tower and preprocessing it keeps."""
        return self.base

    def identity(self, fingerprint: str, of: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """Return its two models and its share of the fine-tuned one."""
        return {"interpolated": self.share, "base": of(self.base), "tuned": of(self.tuned)}

    def description(self, of: Callable[[str], str]) -> str:
        """Return its two models and its share of the fine-tuned one."""
        return f"{of(self.base)} + {self.share:g} of {of(self.tuned)}"
'''

BUILDER = '''"""A tower whose weights lie between those of two declared models."""

from copy import deepcopy

import torch

from bench.core.errors import CellError
from bench.models.build_context import BuildContext
from bench.models.derived import ModelWithTower, model_with_tower
from bench.suite.specs.models import InterpolatedModel


def build_interpolated(spec: InterpolatedModel, context: BuildContext) -> ModelWithTower:
    """Build the model.

    Raises:
        CellError: The two towers have other weights, or there is no vision tower.
    """
    base, tuned = model_with_tower(spec.base, context), model_with_tower(spec.tuned, context)
    ours, theirs = base.tower.state_dict(), tuned.tower.state_dict()
    if ours.keys() != theirs.keys():
        raise CellError(f"{spec.base!r} and {spec.tuned!r} have towers of other architectures")
    tower = deepcopy(base.tower)
    tower.load_state_dict({key: torch.lerp(ours[key], theirs[key], spec.share) for key in ours})
    return base.with_tower(tower)
'''

SUITE = """
suite: added
protocol: {preset: radapt-paper, pixels: native}
samples: 4
models:
  CLIP: {kind: nano, weights: clip}
  FARE: {kind: nano, weights: fare}
  None: {kind: interpolated, base: CLIP, tuned: FARE, share: 0}
  Half: {kind: interpolated, base: CLIP, tuned: FARE, share: 0.5}
  All: {kind: interpolated, base: CLIP, tuned: FARE, share: 1}
datasets: [cifar10]
attacks:
  - {kind: pgd, steps: 2, eps: 4/255}
threats: [white-box]
"""


def test_a_model_kind_takes_three_files(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    last = "content_of(self.target.partition(':')[0], self.args, self.module_folders)"
    copy.insert(SPECS, f"        return {last}\n".replace("'", '"'), SPEC)
    copy.insert(SPECS, "    | GraftModel\n", "    | InterpolatedModel\n")
    copy.write("bench/models/interpolated.py", BUILDER)
    copy.insert(
        BUILDERS,
        "from bench.models.embedded_clip import build_nano\n",
        "from bench.models.interpolated import build_interpolated\n"
        "from bench.suite.specs.models import InterpolatedModel\n",
    )
    copy.insert(
        BUILDERS,
        "    PythonModel: build_python_model,\n",
        "    InterpolatedModel: build_interpolated,\n",
    )
    assert len(copy.touched) <= 3

    rows = {(row["model"], row["attack"]): row for row in copy.run(SUITE)}
    assert {row["status"] for row in rows.values()} == {"ok"}
    for attack in ("clean", "pgd"):
        assert rows["None", attack]["value"] == rows["CLIP", attack]["value"]
        assert rows["All", attack]["value"] == rows["FARE", attack]["value"]
    assert len({row["cell_id"] for row in rows.values()}) == len(rows) == 10
    entries = json.loads((tmp_path / "results" / "added" / "manifest.json").read_text())
    weights = entries[rows["Half", "clean"]["cell_id"]]["weights"]
    assert weights["share"] == 0.5
    assert (weights["base"]["weights"], weights["tuned"]["weights"]) == ("clip", "fare")
    assert weights["base"]["hash"] != weights["tuned"]["hash"]
