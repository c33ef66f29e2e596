"""CLIP and SigLIP models of transformers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.errors import CellError
from bench.core.torchvision_shim import ensure_torchvision
from bench.hub.weights import local_processor, weight_files
from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel, Preprocessing
from bench.models.transformers_loading import loading, whole_model
from bench.suite.specs import HuggingFaceModel, Resize
from radapt.optional_packages import not_installed

_RESCALE = 1 / 255  # from 8 bits to [0,1]


class _Projected(nn.Module):
    """CLIP's vision model followed by its projection, with transformers' module names."""

    def __init__(self, vision_model: nn.Module, projection: nn.Module, config: Any) -> None:
        super().__init__()
        self.vision_model = vision_model
        self.visual_projection = projection
        self.config = config

    def forward(self, pixel_values: Tensor) -> Tensor:
        pooled: Tensor = self.vision_model(pixel_values).pooler_output
        return self.visual_projection(pooled)  # type: ignore[no-any-return]


def build_hugging_face(spec: HuggingFaceModel, context: BuildContext) -> ClipModel:
    """Build a CLIP or SigLIP of transformers in float32.

    Raises:
        CellError: The model cannot be loaded, has another model type, or lacks weights.
    """
    ensure_torchvision()  # transformers imports torchvision
    try:
        import transformers
    except ImportError as error:
        raise CellError(not_installed("transformers")) from error
    files = weight_files(spec)
    # of the configuration, and of the processor's last file; weight files may be links
    folder, words = files[1].parent, files[-1].parent
    with loading(spec.name, folder):
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        # without `dtype`, a float16 checkpoint stays in float16
        model = whole_model(transformers.AutoModel, spec.name, folder, dtype=torch.float32)
    with loading(spec.processor or spec.name, words):
        tokenizer = transformers.AutoTokenizer.from_pretrained(words, trust_remote_code=False)
    model = model.to(context.device).eval().requires_grad_(False)
    return ClipModel(
        _tower(model),
        _Encoder(model, tokenizer, context.device),
        float(model.logit_scale.exp()),
        _preprocessing(spec, config.vision_config.image_size, context.resize),
    )


class _Encoder:
    """Maps texts to embeddings; pads them to the length that the model was trained with."""

    def __init__(self, model: Any, tokenizer: Any, device: torch.device) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.device = device
        self.siglip = model.config.model_type == "siglip"

    def __call__(self, texts: Sequence[str]) -> Tensor:
        # SigLIP was trained on lower case, and the tokenizer of SigLIP 2 does not convert to it
        cased = [text.lower() for text in texts] if self.siglip else list(texts)
        tokens = self.tokenizer(
            cased,
            padding="max_length",
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        ).to(self.device)
        mask = {} if self.siglip else {"attention_mask": tokens["attention_mask"]}
        with torch.no_grad():
            output = self.model.get_text_features(input_ids=tokens["input_ids"], **mask)
        pooled: Tensor = output.pooler_output
        return pooled


def _tower(model: Any) -> nn.Module:
    vision: nn.Module = model.vision_model
    if model.config.model_type == "siglip":
        return vision
    return _Projected(vision, model.visual_projection, model.config.vision_config)


def _preprocessing(spec: HuggingFaceModel, size: int, resize: Resize) -> Preprocessing:
    given = local_processor(spec)
    where = f"{spec.processor or spec.name}: settings of the image processor"
    for key in ("do_rescale", "do_normalize"):
        if given.get(key, True) is not True:
            raise CellError(f"{where}: {key}: got {given[key]!r}; allowed: true")
    if given.get("rescale_factor", _RESCALE) != _RESCALE:
        raise CellError(f"{where}: rescale_factor: got {given['rescale_factor']!r}; allowed: 1/255")
    try:
        mean, std = (tuple(map(float, given[key])) for key in ("image_mean", "image_std"))
    except (KeyError, TypeError, ValueError) as error:
        raise CellError(
            f"{where}: `image_mean` and `image_std` must be lists of three numbers "
            f"({type(error).__name__}: {error})"
        ) from error
    return Preprocessing((size, size), mean, std, resize)
