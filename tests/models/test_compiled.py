"""What makes passes faster moves no number, says so in the row, and is refused clearly."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from bench.core.types import CellResult
from bench.evaluate.cell import Evaluator
from bench.models import ClipModel
from bench.models.batch_size import Batch
from bench.models.clip import Preprocessing
from bench.models.compiled import Compiled
from bench.plan.cells import Cell, expand
from bench.plan.resolve import resolve
from bench.store.results_folder import Store
from bench.suite.load import Suite, load_suite
from bench.suite.specs import Resize
from tests.conftest import SMALL

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


class Tower(nn.Module):
    """So many convolutions, then a mean: embeds in as many dimensions as its width."""

    def __init__(self, width: int = 4, depth: int = 1) -> None:
        super().__init__()
        torch.manual_seed(width)
        layers = [nn.Conv2d(3 if at == 0 else width, width, 3) for at in range(depth)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).sin().mean(dim=(2, 3))  # type: ignore[no-any-return]


def clip(tower: nn.Module) -> ClipModel:
    def encode(texts: Any) -> Tensor:
        return torch.eye(4).repeat(3, 1)[: len(texts)] + torch.linspace(0, 1, len(texts))[:, None]

    frozen = tower.eval().requires_grad_(False)
    how = Preprocessing((32, 32), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), Resize())
    return ClipModel(frozen, encode, 100.0, how)


class Graphs:
    """A backend that notes the batch sizes of the graphs that it is given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        self.sizes += [len(x) for x in inputs if isinstance(x, Tensor) and x.requires_grad]
        return graph.forward


def embed(model: Any, count: int, gradient: bool = True) -> Tensor:
    points = torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    embedding: Tensor = model.encode_image(points.requires_grad_(gradient))
    return embedding


def test_gradients_of_full_batches_alone_are_compiled() -> None:
    graphs, batch, built = Graphs(), Batch(6), clip(Tower())
    compiled = Compiled(built, batch, backend=graphs)
    for count in (6, 5, 6, 1):
        assert torch.allclose(embed(compiled, count), embed(built, count), atol=1e-6)
    embed(compiled, 6, gradient=False)
    assert graphs.sizes == [6]
    batch.size = 3  # as when memory ends
    embed(compiled, 6)
    embed(compiled, 3)
    assert graphs.sizes == [6, 3]


def test_all_models_of_a_suite_are_compiled() -> None:
    """They share the code of one method, which torch gives up after eight graphs."""
    graphs = Graphs()
    for width in range(2, 14):
        embed(Compiled(clip(Tower(width)), Batch(2), backend=graphs), 2)
    assert len(graphs.sizes) == 12


def measured(suite: Suite, root: Path, **changes: Any) -> list[tuple[Cell, CellResult]]:
    lock, problems = resolve(suite)
    assert not problems
    evaluate = Evaluator(suite, lock, {}, Store(root, suite.suite), CPU, **changes)
    return [(cell, evaluate(cell)) for cell in expand(suite, lock)]


def differences(first: list[tuple[Cell, CellResult]], second: list[tuple[Cell, CellResult]]) -> int:
    """Count the images that are judged otherwise; ids are the same throughout."""
    for (cell, one), (twin, two) in zip(first, second, strict=True):
        assert (cell.id, one.status, two.status) == (twin.id, "ok", "ok"), (one, two)
    pairs = zip(first, second, strict=True)
    return sum(int((one.correct != two.correct).sum()) for (_, one), (_, two) in pairs)


def test_compiling_moves_no_number_and_is_in_the_row(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adapted tower among others: graphs of both passes are made, but no machine code."""
    quick = partial(Compiled, backend="aot_eager")
    plain = measured(small, tmp_path / "a", batch=8)
    monkeypatch.setattr("bench.evaluate.model_cache.Compiled", quick)
    compiled = measured(small, tmp_path / "b", batch=8, compiled=True)
    assert differences(plain, compiled) <= 1
    assert {r.provenance.get("compiled") for _, r in plain} == {None}
    assert {r.provenance.get("compiled") for _, r in compiled} == {"full batches"}


@pytest.mark.parametrize(("depth", "layout"), [(1, None), (2, "channels_last")])
def test_convolutional_towers_are_laid_out_for_it_and_others_are_not(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int, layout: str | None
) -> None:
    suite = small.model_copy(update={"models": {"CLIP": small.models["CLIP"]}})
    made: list[ClipModel] = []

    def build(*args: Any, **options: Any) -> ClipModel:
        made.append(clip(Tower(depth=depth)))
        return made[-1]

    monkeypatch.setattr("bench.evaluate.model_cache.build_model", build)
    found = measured(suite, tmp_path / "a")
    assert {r.provenance.get("layout") for _, r in found} == {layout}
    weight = made[0].tower.layers[-1].weight
    assert weight.is_contiguous(memory_format=torch.channels_last) == (layout is not None)
    monkeypatch.setattr("bench.evaluate.model_cache.use_channels_last", lambda tower: None)
    assert differences(found, measured(suite, tmp_path / "b")) <= 1


TRANSFER = {
    **SMALL,
    "samples": 40,
    "threats": [{"transfer": "CLIP"}],
    "attacks": [{"kind": "apgd-ce", "eps": ["1/255", "2/255"], "steps": 4}],
}
SPEEDS: dict[str, dict[str, Any]] = {
    "batch": {"batch": 5},
    "compile": {"compiled": True, "batch": 8},
    "nested": {"attacks": {"nested": True}},
    "bf16": {"attacks": {"precision": "bf16"}},
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Cell, CellResult]]:
    """What is measured without any option."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "suite.yaml").write_text(yaml.safe_dump(TRANSFER))
    return measured(load_suite(folder / "suite.yaml"), folder)


@pytest.mark.parametrize("option", SPEEDS)
def test_transfer_accuracy_does_not_move_with_an_option(
    plain: list[tuple[Cell, CellResult]],
    suite_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
) -> None:
    monkeypatch.setattr(
        "bench.evaluate.model_cache.Compiled", partial(Compiled, backend="aot_eager")
    )
    changes = dict(SPEEDS[option])
    (attack,) = TRANSFER["attacks"]
    attacks = [{**attack, **changes.pop("attacks", {})}]
    fast = measured(load_suite(suite_file(**{**TRANSFER, "attacks": attacks})), tmp_path, **changes)
    moved = []
    for (cell, one), (_, two) in zip(plain, fast, strict=True):
        assert one.status == two.status == "ok", (one.reason, two.reason)
        if cell.target != "CLIP":
            moved.append(int((one.correct != two.correct).sum()))
    assert max(moved) <= 1
    assert sum(moved) <= 2


def test_a_machine_without_a_compiler_is_told(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / "run_bench.py"), "run", str(suite_file()), "--compile"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "CXX": str(tmp_path / "no-such-compiler"),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [*command, "--device", "cpu", "--results", str(tmp_path / "r")],
        cwd=ROOT, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "--compile: torch cannot compile for cpu here" in done.stderr
    assert "C++ compiler" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "r").exists()  # nothing was begun


def test_gradients_go_through_fused_attention(
    small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once per block, the adapted one included, and no matrix of attention is ever made."""
    lock, _ = resolve(small)
    warm = Evaluator(small, lock, {}, Store(tmp_path, small.suite), CPU)._cache
    fused, calls = F.scaled_dot_product_attention, []

    def noted(*args: Any, **options: Any) -> Tensor:
        calls.append(args[0].shape)
        return fused(*args, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noted)
    for name in ("CLIP", "R-Adapt_CLIP"):
        classifier = warm.classifier(name, "cifar10")
        calls.clear()
        points = torch.rand(2, 3, 32, 32, requires_grad=True)
        torch.autograd.grad(classifier(points).sum(), points)
        assert len(calls) == 6
