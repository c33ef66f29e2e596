"""What adapting costs: an adapted tower against the bare one, in pairs, in one run.

python -m tests.perf.radapt_cost            also a part of `make perf`

The two take turns, and what counts is the ratio within each pair: its median over all
pairs, with a 95% interval. A claim such as "under 5%" can be read off the interval's end.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bench.core.torchvision_shim import ensure_torchvision
from radapt import adapt, extract_anchor
from tests.perf.pairs import in_turn, ratio
from tests.perf.subjects import DEVICE

ensure_torchvision()

import open_clip  # noqa: E402  needs torchvision

TEXT = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}
BATCH = {"ViT-B-32": 4, "ViT-L-14": 1}  # images at once on a CPU; times 32 on an accelerator
PAIRS = {"forward": 25, "forward + backward": 13}


def adapting() -> Iterator[dict[str, object]]:
    """One row per tower and pass."""
    for name, count in BATCH.items():
        config = open_clip.get_model_config(name)
        torch.manual_seed(0)
        clip = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], TEXT)
        bare = clip.visual.to(DEVICE).eval().requires_grad_(False)
        adapted = adapt(bare, extract_anchor(bare), alpha=1.4, cutoff=40)
        images = torch.randn(count if DEVICE.type == "cpu" else 32 * count, 3, 224, 224).to(DEVICE)
        for label, run in (("forward", forward), ("forward + backward", both)):
            ours, base = in_turn(
                PAIRS[label],
                lambda: run(adapted, images),  # noqa: B023
                lambda: run(bare, images),  # noqa: B023
            )
            cost = ratio(ours, base)
            yield {
                "tower": name,
                "pass": label,
                "batch": len(images),
                "pairs": PAIRS[label],
                "adapted s": round(sum(ours) / len(ours), 3),
                "bare s": round(sum(base) / len(base), 3),
                "adapted / bare": cost.text(".3f"),
                "under 5%": "yes" if cost.high < 1.05 else "no" if cost.low > 1.05 else "open",
            }


def forward(tower: nn.Module, images: Tensor) -> None:
    """Embed."""
    with torch.inference_mode():
        tower(images)


def both(tower: nn.Module, images: Tensor) -> None:
    """Embed, and take the gradient of the pixels as an attack does."""
    pixels = images.clone().requires_grad_(True)
    torch.autograd.grad(tower(pixels).sum(), pixels)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for row in adapting():
        print("   ".join(f"{key}: {value}" for key, value in row.items()), flush=True)
