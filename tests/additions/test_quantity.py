"""A new quantity per image takes two files: its declaration, and the code that computes it."""

from pathlib import Path

from tests.support.additions import Copy

TYPES, SCORE = "bench/core/types.py", "bench/evaluate/score.py"
LAST_FIELD = """    reached: NDArray[np.bool_] | None = field(
        default=None, metadata=declared("booleans", optional=True)
    )
"""
DECLARATION = """    confidence: NDArray[np.float32] | None = field(
        default=None, metadata=declared("floats", optional=True)
    )
"""
JUDGED = "    outputs = _outputs(case, points, tally)\n"  # the images that an attack proposes
SCORED = "        seen.append(_outputs(case, part, tally))\n"  # clean images, and shared crafts
COMPUTATION = """
def _note_confidence(rows: Tensor, logits: Tensor, tally: Tally) -> None:
    confidence = logits.softmax(dim=1).amax(dim=1)
    tally.note("confidence", rows.numpy(), confidence.cpu().numpy())

"""
ENDS = "their images `[b,3,h,w]`\n"  # the end of the constants
SUITE = """
suite: added
protocol: {preset: radapt-paper, pixels: native}
samples: 4
models: {CLIP: {kind: nano, weights: clip}}
datasets: [cifar10]
attacks: [{kind: pgd, eps: [2/255, 4/255], steps: 2, nested: true}]
threats: [white-box, {transfer: CLIP}]
"""
# reads what is stored, sends each result as a line, and reads that line
READ = """
from pathlib import Path
from bench.store.portable_records import read_result, result_line
from bench.store.results_folder import Store
store = Store(Path("results"), "added")
for cell in sorted(store.statuses()):
    result = store.get(cell.hex())
    again = read_result(result_line(result).encode())
    assert (again.confidence == result.confidence).all()
    print(*result.confidence)
"""


def test_a_confidence_per_image(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.insert(TYPES, LAST_FIELD, DECLARATION)
    copy.insert(SCORE, ENDS, COMPUTATION)
    copy.insert(SCORE, JUDGED, "    _note_confidence(rows, outputs, tally)\n")
    copy.insert(SCORE, SCORED, "        _note_confidence(rows, seen[-1], tally)\n")
    assert len(copy.touched) <= 2
    rows = copy.run(SUITE)
    assert [row["status"] for row in rows] == ["ok"] * 5
    (copy.root / "read.py").write_text(READ)
    found = [list(map(float, line.split())) for line in copy.call("read.py").splitlines()]
    assert [len(values) for values in found] == [4] * 5
    assert all(0.1 < value <= 1 for values in found for value in values)  # there are ten classes
    assert len({value for values in found for value in values}) > 4  # attacks change them
