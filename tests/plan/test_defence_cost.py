"""What `plan` says of the memory and passes of attacks on test-time defences."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.commands.plan import plan_lines
from bench.core.resolved_names import Lock
from bench.nano.nano_clip import CONTEXT, Architecture, build_tokenizer, load_clip
from bench.plan.cells import expand
from bench.plan.cost.architecture import Transformer
from bench.plan.cost.defence_lines import defence_lines
from bench.plan.cost.operations import gradient_cost
from bench.suite.load import load_suite
from radapt.defences.defence import Base, Defended, LogitDefence, defended_logits
from radapt.defences.geodesic_correction import GeodesicCorrection
from radapt.defences.prompt_tuning import PromptTuning
from radapt.defences.ttc import Ttc
from tests.support.kept_bytes import kept_bytes

Write = Callable[..., Path]
SMALL_VIEWS: dict[str, Any] = {"views": 4, "selected": 0.5, "neighbours": 2}
MODELS = {
    "CLIP": {"kind": "open_clip", "name": "ViT-L-14-quickgelu", "pretrained": "openai"},
    "TTC": {"kind": "ttc", "base": "CLIP"},
    "AGC": {"kind": "agc", "base": "CLIP", "views": 3},
    "R-TPT": {"kind": "r-tpt", "base": "CLIP", **SMALL_VIEWS},
}


@pytest.fixture
def planned(suite_file: Write) -> Any:
    attacks = [{"preset": "adaptive", "eps": "4/255"}]
    return load_suite(
        suite_file(models=MODELS, datasets=["cifar10"], attacks=attacks, threats=["white-box"])
    )


@pytest.mark.parametrize(
    ("name", "defence"),
    [
        ("TTC", Ttc()),
        ("AGC", GeodesicCorrection(views=3)),
        ("R-TPT", PromptTuning(**SMALL_VIEWS)),
    ],
)
def test_a_gradient_keeps_what_autograd_keeps(name: str, defence: Any, planned: Any) -> None:
    """A pass more or less would be seen; R-TPT has second derivatives, AGC many views."""
    clip, tokenizer = load_clip("clip").requires_grad_(False), build_tokenizer()

    def embed_texts(texts: Sequence[str]) -> Tensor:
        vectors: Tensor = clip.encode_text(tokenizer([*texts]))
        return vectors

    base = Base(clip.visual, embed_texts, None, ("cat", "dog"), clip.token_embedding, 100.0)
    images = torch.rand(1, 3, 32, 32).requires_grad_()

    def outputs() -> Tensor:
        if isinstance(defence, LogitDefence):
            return defended_logits(defence, base, images, "exact")
        return Defended(defence, base, "exact")(images)  # type: ignore[no-any-return]

    found = kept_bytes(outputs, clip.parameters())
    size, cost = Architecture(), gradient_cost(planned.models, name)
    image = Transformer(size.width, size.layers, 17, 4 * size.width, 0)
    text = Transformer(size.text_width, size.text_layers, CONTEXT, 4 * size.text_width, 0)
    kept = cost.kept * image.kept_bytes(matrices=cost.matrices)
    kept += 2 * cost.texts * text.kept_bytes(matrices=cost.matrices)
    # the ends of the towers, and some images, which are large beside the embedded model
    assert 0 <= found - kept <= 0.08 * kept + 16 * images.nbytes


def test_the_plan_states_memory_and_passes_of_each_member(planned: Any) -> None:
    summary = "\n".join(plan_lines(planned, Lock()))
    assert "; --defences lists their passes and memory" in summary
    assert "activations" not in summary
    found = defence_lines(planned, Lock(), expand(planned, Lock()))
    lines = [line.strip() for line in found]
    start = next(at for at, line in enumerate(lines) if line.startswith("TTC: "))
    image, text = 257 * (6 * 1024 + 2 * 4096), 77 * (6 * 768 + 2 * 3072)
    matrices, texts = 257 * 1024 + 257**2 * 16, 77 * 768 + 77**2 * 12
    one, tuned = (4 * 24 * each / 1e6 for each in (image, image + matrices))
    # own: 100 steps of 8 passes; identity and base: TTC once more without a gradient; transfer:
    # 100 steps on CLIP; Square: 5,000 queries. In all, each step of the ensemble is confirmed.
    own, identity, base, transfer, square = 800 * 8, 800 * 15, 800 * 16, 100 * 2, 40_000 * 7
    total = own + identity + base + transfer + square + 2500 * 7
    assert lines[start : start + 3] == [
        "TTC: passes of the undefended model: 7 per image; 8 per gradient (exact)",
        f"activations that a gradient keeps per image: 1 x a pass (about {one:,.0f} MB in fp32)",
        f"adaptive, eot 8: {total:,} passes per image at most: own {own:,}, identity {identity:,}, "
        f"base {base:,}, transfer {transfer}, square {square:,}",
    ]
    assert lines[start + 7] == (
        f"activations that a gradient keeps per image: 4 x a pass (about {4 * tuned:,.0f} MB in "
        f"fp32), and per class 3 x a text (about {4 * 12 * 3 * (text + texts) / 1e6:,.0f} MB in "
        "fp32)"
    )
