"""An attack with a loss of its own takes two files: its settings, and its loss."""

from pathlib import Path

from tests.support.additions import Copy

SPECS, LOSSES = "bench/suite/specs/attacks.py", "bench/attacks/losses.py"

SPEC = '''

class Gama(PgdSpec):
    """PGD on the margin of probabilities, guided at first by their distance from the clean ones."""

    kind: Literal["gama"]
    steps: Count = 40
    weight: Annotated[float, Field(ge=0)] = 10.0

    loss_input: ClassVar[LossInput] = "classes"
'''
CASE = """        case Gama():
            return GuidedMargin(spec.weight, spec.steps)
"""
LOSS = '''

@dataclass(frozen=True, slots=True)
class GuidedMargin:
    """The margin of probabilities and, with a fading weight, their squared distance from the clean.

    After Sriramanan et al. 2020 (arXiv:2011.14969), with a schedule of its own.

    Attributes:
        weight: Of the distance at the first step.
        steps: After so many the weight is zero.
    """

    weight: float
    steps: int
    ranks = False  # the weight differs from step to step

    def precompute(self, model: Classifier, images: Tensor, seeds: Sequence[int]) -> State:
        """Return the clean images' logits; see `Loss`."""
        return {"clean": model(images)}

    def clean_logits(self, model: Classifier, precomputed: State) -> Tensor | None:
        """Return the clean images' logits; see `Loss`."""
        return precomputed["clean"]

    def at(self, model: Classifier, points: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Return logits and losses; see `Loss`."""
        logits = model(points)
        shares, clean = logits.softmax(dim=1), state["clean"].softmax(dim=1)
        weight = self.weight * (1 - state["iteration"] / self.steps).clamp(min=0)
        guide = (shares - clean).square().sum(dim=1)
        return logits, ANY_MARGIN(shares, state["label"], state["target"]) + weight * guide
'''
SUITE = """
suite: added
protocol: {preset: radapt-paper, pixels: native}
samples: 4
seed: 0
models: {CLIP: {kind: nano, weights: clip}}
datasets: [fashion-mnist]
attacks:
  - {kind: gama, eps: 8/255, steps: 5, restarts: 2}
threats: [white-box, {transfer: CLIP}]
"""


def test_an_attack_with_its_own_loss_takes_two_files(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.insert(SPECS, "if self.step_size is None else eps_value(self.step_size)\n", SPEC)
    copy.insert(SPECS, "    | ValueFeatures\n", "    | Gama\n")
    copy.insert(LOSSES, "from bench.suite.specs.attacks import (\n", "    Gama,\n")
    copy.insert(LOSSES, "            return margin(spec.kappa)\n", CASE)
    copy.insert(LOSSES, "# positive only where the model is wrong\n", LOSS)
    assert len(copy.touched) <= 2
    rows = copy.run(SUITE)
    assert [row["status"] for row in rows] == ["ok"] * 3
    value = {(row["attack"], row["threat"]): float(row["value"]) for row in rows}
    assert value["clean", ""] == 1
    for threat in ("white-box", "transfer"):  # the engine's modes `success` and `full`
        assert value["gama", threat] < 1
