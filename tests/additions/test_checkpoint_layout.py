"""A layout of checkpoints is added in one file: `docs/recipes/checkpoint_layout.md`."""

from pathlib import Path

import torch

from tests.support.additions import Copy
from tests.support.small_clip import hub_files, pickled, small_clip, tuned

LAYOUT = """    "weights of RobustBench, beside those of a normalisation": _normalised,
"""
FUNCTION = """

def _normalised(state: State) -> State | None:
    found = {name: value for name, value in state.items() if not name.startswith("normalize.")}
    return found if 0 < len(found) < len(state) else None
"""

SUITE = """
suite: added
protocol: {{preset: radapt-paper, pixels: native}}
samples: 4
models:
  Plain: {{kind: open_clip, name: "local-dir:{folder}", tower: "{folder}/plain.pt"}}
  Added: {{kind: open_clip, name: "local-dir:{folder}", tower: "{folder}/added.pt"}}
datasets: [cifar10]
"""


def test_a_checkpoint_layout_takes_one_file(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    place = "radapt/state_dicts.py"
    copy.insert(place, "value for name, value in state.items()}\n\n    return inner\n", FUNCTION)
    copy.insert(place, '    "weights of DataParallel": prefixed("module."),\n', LAYOUT)
    assert len(copy.touched) <= 1

    folder = tmp_path / "clip"
    folder.mkdir()
    clip = small_clip()
    for name, content in hub_files(clip).items():
        (folder / name).write_bytes(content)
    state = tuned(clip)
    (folder / "plain.pt").write_bytes(pickled(state))
    wrapped = {f"module.model.{name}": value for name, value in state.items()}
    wrapped["module.normalize.mean"] = torch.zeros(3)
    (folder / "added.pt").write_bytes(pickled({"epoch": 3, "state_dict": wrapped}))
    plain, added = copy.run(SUITE.format(folder=folder))
    assert (plain["status"], added["status"]) == ("ok", "ok"), added["reason"]
    assert added["value"] == plain["value"]
    assert added["cell_id"] != plain["cell_id"]  # the files differ
