"""Random perspectives of images, differentiable."""

import torch
import torch.nn.functional as F
from torch import Tensor


def random_perspective(images: Tensor, distortion: float) -> Tensor:
    """Return each image `[b,3,h,w]` under its own random perspective; outside it is black.

    Each corner moves inwards by up to `distortion` times half the side, in whole pixels, as in
    torchvision's RandomPerspective. Bicubic interpolation, clamped to [0,1].
    """
    count, _, height, width = images.shape
    right, bottom = width - 1.0, height - 1.0
    corners = torch.tensor([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]])
    inwards = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    most = torch.tensor([int(distortion * (width // 2)), int(distortion * (height // 2))])
    moved = corners + inwards * (torch.rand(count, 4, 2) * (most + 1)).floor()
    return warp(images, homography(moved, corners.expand(count, 4, 2)).to(images))


def homography(here: Tensor, there: Tensor) -> Tensor:
    """Return the matrices `[b,3,3]` of the perspective maps that take 4 points to 4 others.

    Args:
        here: The points, x before y, `[b,4,2]`.
        there: Where they go.
    """
    x, y = here.double().unbind(-1)
    u, v = there.double().unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    first = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    second = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    solved = torch.linalg.solve(torch.cat([first, second], dim=1), torch.cat([u, v], dim=1))
    return torch.cat([solved, torch.ones(len(here), 1)], dim=1).view(-1, 3, 3)


def warp(images: Tensor, maps: Tensor) -> Tensor:
    """Return images `[b,3,h,w]` sampled at the places to which `[b,3,3]` maps take their pixels."""
    grid = sampling_grid(images, maps)
    return F.grid_sample(images, grid, mode="bicubic", align_corners=False).clamp(0, 1)


def sampling_grid(images: Tensor, maps: Tensor) -> Tensor:
    """Return the places to which `[b,3,3]` maps take pixels of images, `[b,h,w,2]` in [-1,1]."""
    height, width = images.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=images.device) + 0.5,
        torch.arange(width, device=images.device) + 0.5,
        indexing="ij",
    )
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=-1).flatten(0, 1).to(images)
    found = pixels @ maps.transpose(1, 2)
    places = found[..., :2] / found[..., 2:] * images.new_tensor([2 / width, 2 / height]) - 1
    return places.view(-1, height, width, 2)
