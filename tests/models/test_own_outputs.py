"""What a user's model returns: read in several forms, or refused with the method's name."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from bench import load_results
from bench.core.errors import CellError, SuiteError
from bench.core.language_types import AnsweringModel, HasValueFeatures
from bench.core.resolved_names import Lock
from bench.models.batch_dependence import require_independence
from bench.models.own_outputs import OwnAnswers, OwnEmbeddings, OwnLogits
from bench.plan.cells import expand
from bench.run.suite_run import run_suite
from bench.suite.load import load_suite
from tests.support.question_files import WORDS
from tests.support.small_hugging_face import small_clip

IMAGES, TEXTS = torch.rand(2, 3, 4, 4), ["a", "b", "c"]
EMBEDDINGS = torch.ones(2, 4)
NOT_READ: dict[str, Any] = {
    "None": None,
    "a tuple": (EMBEDDINGS, EMBEDDINGS),
    "a tensor [2,4] of int64": EMBEDDINGS.long(),
    "a tensor [1,4] of float32": EMBEDDINGS[:1],
    "a tensor [2,5,4] of float32": torch.ones(2, 5, 4),
    "a BaseModelOutputWithPooling": BaseModelOutputWithPooling(last_hidden_state=EMBEDDINGS),
}


def embeddings(returned: Any = EMBEDDINGS, **members: Any) -> OwnEmbeddings:
    given = {
        "encode_image": lambda images: returned,
        "encode_text": lambda texts: torch.ones(len(texts), 4, dtype=torch.float16),
        "logit_scale": 1.0,
        **members,
    }
    return OwnEmbeddings(SimpleNamespace(**given), "mine:build")


@pytest.mark.parametrize(
    "returned",
    [
        *(EMBEDDINGS.to(dtype) for dtype in (torch.float16, torch.bfloat16, torch.float64)),
        BaseModelOutputWithPooling(pooler_output=EMBEDDINGS, last_hidden_state=EMBEDDINGS + 1),
        SimpleNamespace(image_embeds=EMBEDDINGS, pooler_output=EMBEDDINGS + 1),
    ],
)
def test_other_precisions_and_output_objects_are_read(returned: Any) -> None:
    model = embeddings(returned)
    assert torch.equal(model.encode_image(IMAGES), EMBEDDINGS)
    assert model.encode_image(IMAGES).dtype == model.encode_text(TEXTS).dtype == torch.float32


def test_features_of_transformers_are_read(tmp_path: Path) -> None:
    clip = small_clip(tmp_path)
    images, tokens = torch.rand(2, 3, 32, 32), torch.tensor([[52, 3, 4, 53]] * 2)
    model = embeddings(
        encode_image=clip.get_image_features,
        encode_text=lambda texts: clip.get_text_features(tokens[: len(texts)]),
    )
    assert not isinstance(clip.get_image_features(images), Tensor)
    whole = clip(pixel_values=images, input_ids=tokens)
    for found, expected in (
        (model.encode_image(images), whole.image_embeds),
        (model.encode_text(TEXTS[:2]), whole.text_embeds),
    ):
        assert torch.allclose(nn.functional.normalize(found, dim=1), expected, atol=1e-6)


def test_gradients_pass_a_conversion() -> None:
    model = embeddings(encode_image=lambda images: images.half().mean(dim=(2, 3)))
    points = IMAGES.clone().requires_grad_()
    model.encode_image(points).sum().backward()
    assert points.grad is not None
    assert points.grad.abs().min() > 0


@pytest.mark.parametrize("got", NOT_READ)
def test_what_is_no_embedding_is_refused(got: str) -> None:
    with pytest.raises(CellError) as told:
        embeddings(NOT_READ[got]).encode_image(IMAGES)
    assert str(told.value) == (
        "mine:build: `encode_image` must return a tensor [2,d] of floats, an embedding per image, "
        f"got {got}"
    )


def test_images_and_texts_of_different_sizes_are_refused() -> None:
    model = embeddings(torch.ones(2, 5))
    model.encode_text(TEXTS)
    with pytest.raises(CellError, match=r"`encode_image` .* 5 dimensions, `encode_text` of 4"):
        model.encode_image(IMAGES)


def test_weights_in_half_precision_that_get_float_images_are_explained() -> None:
    tower = nn.Sequential(nn.Flatten(), nn.Linear(48, 4)).half()
    with pytest.raises(CellError, match="`encode_image` must accept float32 images and convert"):
        embeddings(encode_image=tower).encode_image(IMAGES)

    def unrelated(images: Tensor) -> Tensor:
        raise RuntimeError("no weights here")

    with pytest.raises(RuntimeError, match="no weights here"):
        embeddings(encode_image=unrelated).encode_image(IMAGES)


@pytest.mark.parametrize("scale", [nn.Parameter(torch.tensor(2.0).half()), torch.tensor([2.0]), 2])
def test_a_scale_in_any_form_of_a_number_is_read(scale: Any) -> None:
    assert embeddings(logit_scale=scale).logit_scale == 2.0


@pytest.mark.parametrize("scale", [None, torch.ones(2), lambda: 2.0])
def test_a_scale_that_is_no_number_is_refused(scale: Any) -> None:
    with pytest.raises(CellError, match="mine:build: `logit_scale` must be a number, got "):
        embeddings(logit_scale=scale)


def test_logits_are_read_from_classify_or_from_the_model_itself() -> None:
    wide = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    named = SimpleNamespace(classify=lambda images, names: torch.ones(len(images), len(names)))
    assert OwnLogits(named, "mine:build").logits(IMAGES, ["x", "y"]).shape == (2, 2)
    assert OwnLogits(wide, "mine:build").logits(IMAGES, ["x", "y", "z"]).shape == (2, 3)
    output = SimpleNamespace(classify=lambda images, names: SimpleNamespace(logits=EMBEDDINGS))
    assert OwnLogits(output, "mine:build").logits(IMAGES, [*"wxyz"]) is EMBEDDINGS
    with pytest.raises(CellError, match=r"called with images, must return a tensor \[2,2\]"):
        OwnLogits(wide, "mine:build").logits(IMAGES, ["x", "y"])


ANSWERING: dict[str, tuple[Any, str]] = {
    "log_likelihood": (torch.ones(2, 1), r"a tensor [2] of floats, a number per text"),
    "visual_tokens": (torch.ones(2, 4), r"a tensor [2,t,d] of floats, t tokens per image"),
    "answer": ("yes", "a list of 2 texts, an answer per question"),
}
ASKED = ["?", "?"]


def answers(**members: Any) -> OwnAnswers:
    given = {
        "log_likelihood": lambda images, prompts, texts: torch.ones(2).half(),
        "visual_tokens": lambda images: torch.ones(2, 3, 4, dtype=torch.bfloat16),
        "answer": lambda images, prompts, *, tokens: ("yes", "no"),
        "family": "mine",
        **members,
    }
    return OwnAnswers(SimpleNamespace(**given), "mine:build")


@pytest.mark.parametrize("method", ANSWERING)
def test_what_an_answering_model_returns_is_read_or_refused(method: str) -> None:
    given: dict[str, tuple[Any, ...]] = {
        "log_likelihood": (IMAGES, ASKED, ASKED),
        "visual_tokens": (IMAGES,),
        "answer": (IMAGES, ASKED),
    }
    tokens = {"tokens": 4} if method == "answer" else {}
    found = getattr(answers(), method)(*given[method], **tokens)
    assert found == ["yes", "no"] if method == "answer" else found.dtype == torch.float32
    returned, wanted = ANSWERING[method]
    for wrong in (returned, None, ["yes"]):
        model = answers(**{method: lambda *args, wrong=wrong, **keys: wrong})
        with pytest.raises(CellError) as told:
            getattr(model, method)(*given[method], **tokens)
        assert f"mine:build: `{method}` must return {wanted}, got " in str(told.value)
    assert isinstance(answers(), AnsweringModel)
    assert not isinstance(answers(), HasValueFeatures)
    assert answers().family == "mine"


MODULE = """
import torch
from bench.models import build_model
from bench.models.zero_shot import ZeroShotClassifier, zero_shot_head
from bench.suite.specs import NanoModel

class Tuned:
    def __init__(self, device):
        spec = NanoModel(kind="nano", weights="clip")
        self.clip = build_model(spec, torch.device(device), None)
    def classify(self, images, class_names):
        head = zero_shot_head(self.clip, class_names, ["a photo of a {c}"])
        return ZeroShotClassifier(self.clip, head)(images)

class Mixing(Tuned):
    def classify(self, images, class_names):
        return super().classify(images, class_names) - images.mean()
"""
LOGITS = {"kind": "python", "target": "tuned:Tuned", "logits": True}


def test_a_model_of_logits_has_the_numbers_of_its_embeddings(
    suite_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tuned.py").write_text(MODULE.replace("images.mean()", "9 * images.norm()"))
    monkeypatch.syspath_prepend(tmp_path)
    pgd = {"eps": "4/255", "steps": 2}
    suite = load_suite(
        suite_file(
            models={
                "CLIP": {"kind": "nano", "weights": "clip"},
                "Tuned": LOGITS,
                "Mixing": {**LOGITS, "target": "tuned:Mixing"},
            },
            attacks=[
                {"kind": "pgd", **pgd},
                {"kind": "pgd", **pgd, "precision": "bf16", "name": "lowered"},
                {"kind": "apgd-embedding", **pgd},
            ],
            threats=["white-box", {"transfer": "CLIP"}],
            samples=8,
        )
    )
    report = run_suite(suite, results=tmp_path / "results", trust=True, check=False)
    rows = load_results(report.folder).set_index(["model", "attack", "threat"])
    status, value = rows["status"], rows["value"]
    for attack, threat in (("clean", ""), ("pgd", "white-box"), ("pgd", "transfer")):
        assert value["Tuned", attack, threat] == value["CLIP", attack, threat]
    assert set(rows.loc["Mixing"]["status"]) == {"failed", "skip"}
    assert rows["reason"]["Mixing", "clean", ""].startswith("'Mixing' depends on its batch")
    assert status["Tuned", "lowered", "white-box"] == "ok"
    embedding = ("Tuned", "apgd-embedding", "white-box")
    assert status[embedding] == "skip"
    assert "needs embeddings of images, but Tuned returns logits" in rows["reason"][embedding]
    assert status["Tuned", "apgd-embedding", "transfer"] == "ok"


def test_a_model_of_logits_is_declared(suite_file: Callable[..., Path]) -> None:
    def ids(**entry: Any) -> set[str]:
        suite = load_suite(suite_file(models={"M": {**LOGITS, **entry}}, threats=["white-box"]))
        return {cell.id for cell in expand(suite, Lock({"M": "content"}))}

    assert not ids() & ids(logits=False)
    with pytest.raises(SuiteError, match="at most one of `answers` and `logits` may be true"):
        ids(answers=True)
    with pytest.raises(SuiteError, match=r"models\.M: does not answer in words"):
        asked = {"kind": "language", "format": "embedded", "name": "w", "of": "digits"}
        asked["ask"] = "whether"
        models = {**WORDS["models"], "M": LOGITS}
        load_suite(suite_file(**{**WORDS, "models": models, "datasets": [asked]}, protocol="lvlm"))


def test_a_random_model_most_of_whose_passes_agree_does_not_depend_on_its_batch() -> None:
    def erring(images: Tensor) -> Tensor:
        return torch.where(torch.rand(len(images), 1) < 0.3, -1.0, 1.0).expand(-1, 4)

    for seed in range(100):
        torch.manual_seed(seed)
        require_independence(erring, torch.rand(3, 4, 4), "erring")
