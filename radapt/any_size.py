"""How vision towers take images of any size: their arguments, and the places of their tokens.

Three forms are known (`Grids.form`):

- `packed`: the patches of all images one after another, and their grids (Qwen-VL).
- `padded`: the patches of each image, padded to one length, and their grids (SigLIP2-NaFlex).
- `images`: images padded at the right and bottom to one size, and their sizes (Pixtral).
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from radapt.grids import Form, Grids, grid_rows, on_frames, patchify

Arguments = dict[str, Any]  # of a tower's forward method, by name
Change = Callable[[Tensor], Tensor]  # of images [b,c,h,w] to images of the same shape


class Inputs(Protocol):
    """A form of giving images of any size to a tower."""

    names: tuple[str, ...]  # arguments of the tower's forward method, in their order

    def of_images(self, images: Tensor, order: Grids) -> Arguments:
        """Return a tower's arguments for normalised images `[b,c,h,w]` of one size."""

    def grids(self, given: Arguments, order: Grids) -> Tensor:
        """Return frames, rows and columns of patches of each image, `[images,3]`."""

    def changed(self, change: Change, given: Arguments, order: Grids) -> Arguments:
        """Return a tower's arguments with each image changed by itself, without its padding."""

    def mixed(self, response: Tensor, scale: float, anchor: Tensor, grid_thw: Tensor) -> Tensor:
        """Return `scale * response + anchor` for the tokens of images; padding stays as it is.

        Args:
            response: The first attention's output.
            scale: Factor of the response.
            anchor: Scaled anchors of all images, one after another, `[tokens,d]`.
            grid_thw: Frames, rows and columns of patches of each image.
        """
        return scale * response + anchor


class Packed(Inputs):
    """Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

    names = ("hidden_states", "grid_thw")

    def of_images(self, images: Tensor, order: Grids) -> Arguments:
        """Cut images into patches, and return them with their grids."""
        grid = order.of((images.shape[-2], images.shape[-1]))
        rows = grid_rows(grid, len(images), images.device)
        return {"hidden_states": patchify(images, order), "grid_thw": rows}

    def grids(self, given: Arguments, order: Grids) -> Tensor:
        """Return the argument `grid_thw`."""
        return cast(Tensor, given["grid_thw"])

    def changed(self, change: Change, given: Arguments, order: Grids) -> Arguments:
        """Change images that are reassembled from their patches."""
        patches = on_frames(change, given["hidden_states"], given["grid_thw"], order)
        return {**given, "hidden_states": patches}


class Padded(Inputs):
    """SigLIP2-NaFlex; the values of a patch are ordered by row, column and channel."""

    names = ("pixel_values", "pixel_attention_mask", "spatial_shapes")

    def of_images(self, images: Tensor, order: Grids) -> Arguments:
        """Cut images into patches without padding, and return them with their grids."""
        count, device = len(images), images.device
        shapes = grid_rows(order.of((images.shape[-2], images.shape[-1])), count, device)[:, 1:]
        patches = _channels_last(patchify(images, order), order.patch)
        mask = torch.ones(count, len(patches) // count, dtype=torch.long, device=device)
        return {
            "pixel_values": patches.reshape(count, -1, patches.shape[-1]),
            "pixel_attention_mask": mask,
            "spatial_shapes": shapes,
        }

    def grids(self, given: Arguments, order: Grids) -> Tensor:
        """Return the argument `spatial_shapes` with one frame per image."""
        shapes: Tensor = given["spatial_shapes"]
        return torch.cat([torch.ones_like(shapes[:, :1]), shapes], dim=1)

    def changed(self, change: Change, given: Arguments, order: Grids) -> Arguments:
        """Change images that are reassembled from their patches."""
        values: Tensor = given["pixel_values"]
        grid_thw = self.grids(given, order)
        real = _real(grid_thw, values)
        patches = on_frames(change, _channels_first(values[real], order.patch), grid_thw, order)
        return {
            **given,
            "pixel_values": _placed(_channels_last(patches, order.patch), real, values),
        }

    def mixed(self, response: Tensor, scale: float, anchor: Tensor, grid_thw: Tensor) -> Tensor:
        """Mix the tokens `[b,n,d]` of images, and not those of padding."""
        real = _real(grid_thw, response)
        return _placed(scale * response[real] + anchor, real, response)


class SizedImages(Inputs):
    """Pixtral; all images' tokens follow one another in one sequence `[1,n,d]`."""

    names = ("pixel_values", "image_sizes")

    def of_images(self, images: Tensor, order: Grids) -> Arguments:
        """Return images that are not padded."""
        order.of((images.shape[-2], images.shape[-1]))
        return {"pixel_values": images}

    def grids(self, given: Arguments, order: Grids) -> Tensor:
        """Return the grids of the argument `image_sizes`, or of the images' own size."""
        sizes = _sizes(given)
        return torch.tensor([[1, h // order.patch, w // order.patch] for h, w in sizes])

    def changed(self, change: Change, given: Arguments, order: Grids) -> Arguments:
        """Change each image within its own size."""
        images: Tensor = given["pixel_values"]
        changed = images.clone()
        for index, (height, width) in enumerate(_sizes(given)):
            changed[index, :, :height, :width] = change(images[None, index, :, :height, :width])[0]
        return {**given, "pixel_values": changed}


INPUTS: Mapping[Form, Inputs] = {"packed": Packed(), "padded": Padded(), "images": SizedImages()}


def _sizes(given: Arguments) -> list[tuple[int, int]]:
    """Return the heights and widths of images in pixels, without their padding."""
    images: Tensor = given["pixel_values"]
    sizes = given.get("image_sizes")
    if sizes is None:
        return [(images.shape[-2], images.shape[-1])] * len(images)
    return [(int(height), int(width)) for height, width in sizes]


def _real(grid_thw: Tensor, padded: Tensor) -> Tensor:
    """Return which positions of padded sequences `[b,n,d]` are an image's, `[b,n]`."""
    counts = grid_thw.prod(dim=1).to(padded.device)
    return torch.arange(padded.shape[1], device=padded.device) < counts[:, None]


def _placed(values: Tensor, real: Tensor, padded: Tensor) -> Tensor:
    """Return padded sequences with their real positions replaced; differentiable."""
    placed = padded.clone()
    placed[real] = values.to(padded.dtype)
    return placed


def _channels_last(patches: Tensor, side: int) -> Tensor:
    """Reorder the values of patches `[n, c*p*p]` to `[n, p*p*c]`."""
    return patches.reshape(len(patches), -1, side, side).permute(0, 2, 3, 1).flatten(1)


def _channels_first(patches: Tensor, side: int) -> Tensor:
    """Reorder the values of patches `[n, p*p*c]` to `[n, c*p*p]`."""
    return patches.reshape(len(patches), side, side, -1).permute(0, 3, 1, 2).flatten(1)
