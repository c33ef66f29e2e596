"""Retrieval: recalls by hand, and logits whose arg max is recall@1."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import bench.trust.examine
from bench import load_results, load_suite
from bench.core.errors import SuiteError
from bench.data import index_dataset, load_captioned, load_images
from bench.evaluate.cell import Evaluator
from bench.evaluate.model_cache import ModelCache
from bench.models import build_model
from bench.plan.cells import expand
from bench.plan.resolve import resolve
from bench.plan.shards import part_key
from bench.run.suite_run import run_suite
from bench.stats import wilson
from bench.store.results_folder import Store
from bench.store.snapshot import read_results
from bench.suite.load import Suite
from bench.suite.specs import NanoDataset
from bench.tasks.retrieval import RetrievalClassifier, images_to_text, text_to_images
from bench.trust.battery import CHECKS
from bench.trust.examine import examine_pairs
from bench.trust.stored_findings import findings_and_todo
from tests.conftest import png, write_shard

OWNERS = torch.tensor([0, 0, 1, 2, 2])
COSINES = torch.tensor(
    [
        [0.9, 0.1, 0.8, 0.2, 0.3],  # nearest: own, then image 1's
        [0.7, 0.6, 0.5, 0.4, 0.3],  # its one caption comes third
        [0.1, 0.2, 0.9, 0.3, 0.8],  # second
    ]
)


class Flat:
    """Embeds an image by its pixels."""

    logit_scale = 10.0

    def encode_image(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        raise NotImplementedError


def test_recalls_by_hand() -> None:
    for k, expected in ((1, [1, 0, 0]), (2, [1, 0, 1]), (3, [1, 1, 1]), (10, [1, 1, 1])):
        assert images_to_text(COSINES, OWNERS, k).tolist() == expected
    # columns: image 0 is nearest to caption 0; caption 1 is nearest to image 1, then 2; ...
    for k, expected in ((1, [1, 0, 0, 0, 1]), (2, [1, 0, 0, 1, 1]), (3, [1] * 5)):
        assert text_to_images(COSINES, OWNERS, k).tolist() == expected


def test_logits_are_the_nearest_captions_and_differentiable() -> None:
    generator = torch.Generator().manual_seed(0)
    captions = F.normalize(torch.randn(12, 5, generator=generator), dim=0)
    classifier = RetrievalClassifier(Flat(), captions, OWNERS)
    images = torch.rand(3, 3, 2, 2, generator=generator).requires_grad_(True)
    logits = classifier(images)
    cosines = classifier.cosines(images)
    by_hand = torch.stack([cosines[:, j == OWNERS].amax(dim=1) for j in range(3)], dim=1)
    assert torch.allclose(logits, 10 * by_hand)
    hits = images_to_text(cosines, OWNERS, 1)
    assert torch.equal(logits.argmax(dim=1) == torch.arange(3), hits)
    (gradient,) = torch.autograd.grad(logits[0, 0], images)
    own = cosines[0, :2].argmax()
    (expected,) = torch.autograd.grad(10 * classifier.cosines(images)[0, own], images)
    assert torch.allclose(gradient, expected)


@pytest.mark.parametrize("k", [1, 5])
def test_more_neighbours_never_lose_a_hit(k: int) -> None:
    cosines = torch.rand(6, 18, generator=torch.Generator().manual_seed(1))
    owners = torch.arange(18) % 6
    for recall in (images_to_text, text_to_images):
        assert not (recall(cosines, owners, k) & ~recall(cosines, owners, k + 1)).any()


ATTACKED = {
    "attacks": [{"kind": "pgd", "eps": "8/255", "steps": 5}],
    "threats": ["white-box", {"transfer": "CLIP"}],
}


@pytest.fixture
def captioned(tmp_path: Path) -> Path:
    """Embedded images with two captions each, in CLIP_benchmark's layout of retrieval sets."""
    spec = NanoDataset(name="cifar10")
    ids = index_dataset(spec, 24, 0).sample_ids
    data = load_images(spec, ids, "native")
    files = []
    for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        name = data.classes[label]
        files.append((f"s{number:07d}.png", png(image.transpose(1, 2, 0))))
        text = f"a photo of a {name}\na picture of the {name} number {number}\n"
        files.append((f"s{number:07d}.txt", text.encode()))
    root = tmp_path / "flickr"
    write_shard(root / "test" / "0.tar", files)
    (root / "test" / "nshards.txt").write_text("1\n")
    (root / "dataset_type.txt").write_text("retrieval\n")
    return root


def suite_of(suite_file: Callable[..., Path], root: Path, **changes: Any) -> Suite:
    entry = {"name": "flickr", "kind": "webdataset", "path": str(root), "task": "retrieval"}
    return load_suite(suite_file(datasets=[entry], **{**ATTACKED, **changes}))


def test_a_suite_of_captions_from_file_to_tables(
    suite_file: Callable[..., Path], captioned: Path, tmp_path: Path
) -> None:
    suite = suite_of(suite_file, captioned, samples=20)
    report = run_suite(suite, results=tmp_path, device="cpu")
    assert (report.cells, report.failed) == (3 * 6 * 3, 0)
    # one craft per source: CLIP's serves its white-box cells and all under transfer
    assert len(list((tmp_path / "crafts").glob("*.safetensors"))) == 3
    cells = load_results(report.folder).set_index(["model", "metric", "threat"])["value"].unstack()
    lengths = load_results(report.folder).groupby("metric")["n"].unique()
    for row in load_results(report.folder).itertuples():  # two captions an image are no more
        assert (row.ci_low, row.ci_high) == pytest.approx(wilson(row.value * 20, 20), abs=1e-5)
    for kind, count in (("text", 20), ("image", 40)):
        names = [f"{kind}_retrieval_recall@{depth}" for depth in (1, 5, 10)]
        assert all(list(lengths[name]) == [count] for name in names)
        for model in suite.models:
            found = cells.loc[model].loc[names]
            assert (found.diff().dropna() >= 0).all(axis=None)  # more neighbours, more hits
    top = cells.xs("text_retrieval_recall@1", level="metric")
    assert top.loc["CLIP", ""] > top.loc["CLIP", "white-box"]
    assert top.loc["CLIP", "white-box"] == top.loc["CLIP", "transfer"]
    board = report.board.set_index(["model", "threat"])
    assert {"clean", "pgd@8/255", "clean TR@5", "pgd@8/255 IR@10", "worst"} <= set(board.columns)
    assert board.loc[("FARE", "transfer"), "clean"] == top.loc["FARE", ""]
    assert board.loc[("FARE", "transfer"), "pgd@8/255"] == top.loc["FARE", "transfer"]
    assert board.loc[("FARE", "transfer"), "worst"] == top.loc["FARE", "transfer"]
    assert (board["n"] == 20).all()
    assert run_suite(suite, results=tmp_path, device="cpu").computed == 0


def test_a_recall_is_that_of_the_images_that_were_kept(
    suite_file: Callable[..., Path], captioned: Path, tmp_path: Path
) -> None:
    suite = suite_of(suite_file, captioned)
    lock, _ = resolve(suite)
    store = Store(tmp_path, suite.suite)
    evaluate = Evaluator(suite, lock, {}, store, torch.device("cpu"))
    cell = next(
        cell
        for cell in expand(suite, lock)
        if cell.threat and cell.metric == "image_retrieval_recall@5" and cell.target == "FARE"
    )
    result = evaluate(cell)
    data = load_captioned(suite.datasets[0], lock.datasets["flickr"].sample_ids, "native")
    assert result.sample_ids[:3] == (
        f"{data.sample_ids[0]}#0", f"{data.sample_ids[0]}#1", f"{data.sample_ids[1]}#0",
    )  # fmt: skip
    found = store.craft(part_key(cell.craft_id, range(16)))
    assert found is not None
    clean = torch.from_numpy(data.images).float() / 255
    points = (clean + torch.from_numpy(found.kept).float()).clamp(0, 1)
    fare = build_model(suite.models["FARE"], torch.device("cpu"), lambda name: None)  # type: ignore[arg-type, return-value]
    texts = fare.encode_text([text for own in data.captions for text in own])
    with torch.no_grad():
        cosines = F.normalize(fare.encode_image(points), dim=1) @ F.normalize(texts, dim=1).T
    place = cosines.argsort(dim=0, descending=True)[:5]
    own = [image in place[:, column] for column, image in enumerate(sorted([*range(16)] * 2))]
    assert result.correct.tolist() == own
    assert float(result.distance.max()) <= 8 / 255 + 1e-6
    assert result.queries == 16  # the craft counts for the first of its metrics


def test_captions_and_classes_have_no_mean(
    suite_file: Callable[..., Path], captioned: Path
) -> None:
    entry = {"name": "f", "kind": "webdataset", "path": str(captioned), "task": "retrieval"}
    with pytest.raises(SuiteError, match=r"cifar10 \(accuracy among classes\); f \(recall among"):
        load_suite(suite_file(datasets=["cifar10", entry]))
    mistaken = {key: value for key, value in entry.items() if key != "task"}
    suite = load_suite(suite_file(datasets=[mistaken], attacks=None, threats=None))
    report = run_suite(suite, results=captioned.parent, device="cpu")
    assert report.failed == len(suite.models)
    reasons = load_results(report.folder)["reason"]
    assert reasons.str.contains("its images have captions; images with labels are needed").all()


def test_recall_among_captions_is_examined_as_accuracy_is(
    suite_file: Callable[..., Path],
    captioned: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip = {"CLIP": {"kind": "nano", "weights": "clip"}}
    threats = ["white-box"]
    attacks = [{"kind": "pgd", "eps": "1/255", "steps": 5}]
    suite = suite_of(
        suite_file, captioned, samples=20, models=clip, threats=threats, attacks=attacks
    )
    run_suite(suite, results=tmp_path, device="cpu", check=False)
    store = Store(tmp_path, suite.suite)
    _, numbers = findings_and_todo(read_results(suite, store), deep=False)
    number = numbers["CLIP", "flickr"]
    frame = load_results(store.folder).set_index(["attack", "metric"])
    recall = frame.loc[("pgd", "text_retrieval_recall@1"), "value"]
    assert number.reported.robust.mean() == recall
    dear = ("more-restarts", "square", "monotone", "more-steps", "transfer", "stand-in")
    some = {name: check for name, check in CHECKS.items() if name not in dear}
    monkeypatch.setattr(bench.trust.examine, "CHECKS", some)
    lock, problems = resolve(suite)
    cache = ModelCache(suite, lock, problems, torch.device("cpu"), None, False)
    assert list(examine_pairs(read_results(suite, store), numbers, cache)) == [
        (("CLIP", "flickr"), None)
    ]
    found = findings_and_todo(read_results(suite, store), deep=False)[0]["CLIP", "flickr"].findings
    said = {one.check: one for one in found}
    assert list(said) == list(some)
    assert not [one for one in found if one.verdict == "fail"]
    skipped = {one.check for one in found if one.verdict == "skip"}
    defences = {"cut-gradient", "draws", "no-effect", "cost", "non-adaptive"}
    assert skipped == {"transferred", "held-out", *defences}
    assert (
        "most frequent class gets 1 right" in said["chance"].evidence
    )  # each image is its own class
