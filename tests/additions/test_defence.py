"""A test-time defence is added in two files: `docs/recipes/defence.md`."""

from pathlib import Path

from tests.support.additions import Copy

SPECS = "bench/suite/specs/defences.py"

DEFENCE = '''"""Contrast reduction in front of the model."""

from dataclasses import dataclass

from torch import Tensor

from radapt.defences.defence import Base, ImageDefence


@dataclass(frozen=True, slots=True)
class Contrast(ImageDefence):
    """Move each pixel towards grey.

    Attributes:
        share: Remaining contrast, in [0,1].
    """

    share: float = 1.0

    def change(self, base: Base, images: Tensor) -> Tensor:
        """Return the images with less contrast, `[b,3,h,w]`."""
        return 0.5 + self.share * (images - 0.5)
'''

SPEC = '''class ContrastModel(DefenceModel):
    """Less contrast."""

    implementation: ClassVar = "radapt.defences.contrast:Contrast"

    kind: Literal["contrast"]
    share: Share = 1.0


'''

SUITE = """
suite: added
protocol: {preset: radapt-paper, pixels: native}
samples: 4
models:
  CLIP: {kind: nano, weights: clip}
  None: {kind: contrast, base: CLIP}
  Grey: {kind: contrast, base: CLIP, share: 0}
datasets: [cifar10]
attacks:
  - {kind: pgd, steps: 2, eps: 4/255}
threats: [white-box]
"""


def test_a_defence_takes_two_files(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.write("radapt/defences/contrast.py", DEFENCE)
    copy.insert(SPECS, "        return 1 + self.views\n\n\n", SPEC)
    copy.insert(SPECS, "    | GeodesicCorrectionModel\n", "    | ContrastModel\n")
    assert len(copy.touched) <= 2

    rows = {(row["model"], row["attack"]): row for row in copy.run(SUITE)}
    assert {row["status"] for row in rows.values()} == {"ok"}
    for attack in ("clean", "pgd"):
        assert rows["None", attack]["value"] == rows["CLIP", attack]["value"]
    assert rows["Grey", "clean"]["value"] == rows["Grey", "pgd"]["value"]
    assert len({row["cell_id"] for row in rows.values()}) == len(rows) == 6
