"""R-TPT: prompt tuning per image, and a vote of its views (Sheng et al. 2025, arXiv:2504.11195)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from radapt.defences.augmix import augmix
from radapt.defences.defence import Base, LogitDefence
from radapt.defences.prompts import TunablePrompts, tunable_prompts

# PyTorch's AdamW, with its defaults
_BETAS, _EPS, _DECAY = (0.9, 0.999), 1e-8, 0.01
_SMALLEST = 1e-30  # a root has no finite derivative at 0
# torchvision's RandomResizedCrop, with its defaults
_AREA, _RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


@dataclass(frozen=True, slots=True)
class PromptTuning(LogitDefence):
    """Tune the prompt on an image's views, then average the views' logits by their agreement.

    AdamW minimises the mean entropy of the most confident views. A view's weight is the softmax of
    its mean cosine with its nearest views.

    The defaults are of TomSheng21/R-TPT on ImageNet and its variants, where views are random crops
    and mirror images; on other datasets the code passes each through AugMix. A view is not its own
    neighbour. The code leaves out cosines that round to at least 1, which are some of the views
    with themselves, and equal views.

    Attributes:
        views: Number of views, the image included.
        selected: Share of the views whose entropy is minimised.
        steps: Number of steps of AdamW; 0 for no tuning.
        rate: Learning rate.
        neighbours: Number of nearest views.
        temperature: Temperature of the softmax over views.
        words: The words that are tuned, in front of the class name.
        augmix: Whether views pass through AugMix. Its steps of 8 bits have the identity's gradient.
    """

    random: ClassVar[bool] = True

    views: int = 64
    selected: float = 0.1
    steps: int = 1
    rate: float = 5e-3
    neighbours: int = 20
    temperature: float = 0.01
    words: str = "a photo of a"
    augmix: bool = False

    def undefended(self, base: Base, images: Tensor) -> Tensor:
        """Return the logits `[b,k]` of the images themselves, with the words as they are."""
        prompts = tunable_prompts(base, self.words)
        return base.logit_scale * base.unit(images) @ prompts.vectors(prompts.context).T

    def logits(self, base: Base, images: Tensor, *, unrolled: bool) -> Tensor:
        """Return the logits `[b,k]` of images `[b,3,h,w]` in [0,1]."""
        prompts = tunable_prompts(base, self.words)
        second_order = unrolled and images.requires_grad and torch.is_grad_enabled()
        rows = []
        with sdpa_kernel(SDPBackend.MATH):  # other kernels have no second derivative
            for image in images:
                drawn = [image, *(self._view(image) for _ in range(self.views - 1))]
                rows.append(self.vote(base, prompts, torch.stack(drawn), second_order))
        return torch.stack(rows)

    def _view(self, image: Tensor) -> Tensor:
        crop = random_crop(image)
        return augmix(crop) if self.augmix else crop

    def vote(
        self, base: Base, prompts: TunablePrompts, views: Tensor, second_order: bool
    ) -> Tensor:
        """Return the logits `[k]` of an image's views `[v,3,h,w]`."""
        units = base.unit(views)
        seen = units if second_order else units.detach()
        with torch.enable_grad():
            context = self._tuned(base, prompts, seen, second_order)
        logits = base.logit_scale * units @ prompts.vectors(context).T
        return self._weights(units) @ logits

    def _tuned(
        self, base: Base, prompts: TunablePrompts, units: Tensor, second_order: bool
    ) -> Tensor:
        context = prompts.context.clone().requires_grad_()
        first, second = torch.zeros_like(context), torch.zeros_like(context)
        chosen = None
        for step in range(1, self.steps + 1):
            entropy = _entropy(base.logit_scale * units @ prompts.vectors(context).T)
            if chosen is None:  # the same views in all steps
                chosen = entropy.argsort()[: int(len(units) * self.selected)]
            loss = entropy[chosen].mean()
            (slope,) = torch.autograd.grad(loss, context, create_graph=second_order)
            first = _BETAS[0] * first + (1 - _BETAS[0]) * slope
            second = _BETAS[1] * second + (1 - _BETAS[1]) * slope**2
            size = (second / (1 - _BETAS[1] ** step)).clamp_min(_SMALLEST).sqrt() + _EPS
            context = context * (1 - self.rate * _DECAY)
            context = context - self.rate * first / (1 - _BETAS[0] ** step) / size
            if not second_order:
                context = context.detach().requires_grad_()
        return context if second_order else context.detach()

    def _weights(self, units: Tensor) -> Tensor:
        """Return the weights of the views, `[v]`, of sum 1."""
        itself = torch.eye(len(units), dtype=torch.bool, device=units.device)
        cosines = (units @ units.T).masked_fill(itself, -torch.inf)
        nearest = cosines.topk(self.neighbours, dim=1).values.mean(dim=1)
        return torch.softmax(nearest / self.temperature, dim=0)


def _entropy(logits: Tensor) -> Tensor:
    return -(logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1)


def random_crop(image: Tensor) -> Tensor:
    """Return a random crop of an image `[3,h,w]`, resized to its size and mirrored or not."""
    height, width = image.shape[-2:]
    for _ in range(10):
        area, ratio, top, left = torch.rand(4).tolist()
        pixels = (_AREA[0] + area * (_AREA[1] - _AREA[0])) * height * width
        shape = math.exp(math.log(_RATIO[0]) + ratio * math.log(_RATIO[1] / _RATIO[0]))
        tall, wide = round(math.sqrt(pixels / shape)), round(math.sqrt(pixels * shape))
        if 0 < tall <= height and 0 < wide <= width:
            break
    else:
        tall, wide, top, left = height, width, 0.0, 0.0
    y, x = int(top * (height - tall + 1)), int(left * (width - wide + 1))
    crop = image[None, :, y : y + tall, x : x + wide]
    view = F.interpolate(crop, (height, width), mode="bilinear", antialias=True)[0]
    return view.flip(-1) if float(torch.rand(())) < 0.5 else view
