"""What adapting costs: an adapted tower against the bare one, as ratios, in one run.

python -m tests.perf_radapt
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.compat import ensure_torchvision
from radapt import adapt, extract_anchor

ensure_torchvision()

import open_clip  # noqa: E402  needs torchvision

TEXT = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}
BATCH = {"ViT-B-32": 8, "ViT-L-14": 2}  # images at once on a CPU; times 32 on an accelerator
ROUNDS = 7


def main() -> None:
    """Print one line per tower and pass."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"adapted / bare, best of {ROUNDS}, {device}, {torch.get_num_threads()} threads")
    for name, count in BATCH.items():
        config = open_clip.get_model_config(name)
        torch.manual_seed(0)
        clip = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], TEXT)
        tower = clip.visual.to(device).eval().requires_grad_(False)
        adapted = adapt(tower, extract_anchor(tower), alpha=1.4, cutoff=40)
        images = torch.randn(count if device.type == "cpu" else 32 * count, 3, 224, 224).to(device)
        for label, passes in (("forward", forward), ("forward + backward", both)):
            bare, ours = rounds(passes, images, tower, adapted)
            print(f"  {name}  {label:<19} {bare:7.3f} s   {ours:7.3f} s   ratio {ours / bare:.3f}")


def forward(tower: nn.Module, images: Tensor) -> None:
    """Embed."""
    with torch.inference_mode():
        tower(images)


def both(tower: nn.Module, images: Tensor) -> None:
    """Embed, and take the gradient of the pixels as an attack does."""
    pixels = images.clone().requires_grad_(True)
    torch.autograd.grad(tower(pixels).sum(), pixels)


def rounds(
    run: Callable[[nn.Module, Tensor], None], images: Tensor, *towers: nn.Module
) -> list[float]:
    """Return each tower's least time; towers take turns, so that drift meets them alike."""
    least = [float("inf")] * len(towers)
    for round_ in range(ROUNDS + 1):  # the first one warms up
        for index, tower in enumerate(towers):
            synchronise()
            started = time.perf_counter()
            run(tower, images)
            synchronise()
            if round_ > 0:
                least[index] = min(least[index], time.perf_counter() - started)
    return least


def synchronise() -> None:
    """Wait for the accelerator, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
