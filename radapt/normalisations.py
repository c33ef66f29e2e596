"""Mean and standard deviation of the pixels of Hugging Face's towers, from their processors."""

from pathlib import Path
from typing import Any

from radapt.filters import ONES, ZEROS
from radapt.text_files import read_json

MeanStd = tuple[tuple[float, ...], tuple[float, ...]]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_CLIP: MeanStd = (CLIP_MEAN, CLIP_STD)
_HALVES: MeanStd = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# For kinds of models whose published checkpoints agree. Others are left out: checkpoints of
# Mllama, for example, have other values than transformers' class for their processor.
_BY_MODEL_TYPE = {
    **dict.fromkeys(
        ("clip", "metaclip_2", "blip_2", "instructblip", "pixtral", "qwen2_vl", "qwen2_5_vl"), _CLIP
    ),
    **dict.fromkeys(
        ("siglip", "siglip2", "clipseg", "idefics3", "smolvlm", "phi4_multimodal", "qwen3_vl"),
        _HALVES,
    ),
}
# the file of an image processor, and of a processor that contains one
_FILES = ("preprocessor_config.json", "processor_config.json")


def of_model_type(model_type: str) -> MeanStd | None:
    """Return the values of a kind of model or tower; None if its checkpoints differ.

    Args:
        model_type: `model_type` of a model's or a tower's configuration.
    """
    return _BY_MODEL_TYPE.get(model_type.removesuffix("_model").removesuffix("_vision"))


def of_processor_file(config: Any) -> MeanStd | None:
    """Return the values of the processor's file that is stored with a tower's weights.

    Args:
        config: The tower's configuration, which has the folder or repository it was loaded from.

    Returns:
        The values; None if the tower was not loaded from a folder or repository, or if no file of
        a processor is there. Nothing is downloaded: of a repository only the cache is searched.

    Raises:
        ValueError: A processor's file is damaged.
    """
    source = str(getattr(config, "_name_or_path", "") or "")
    for name in _FILES if source else ():
        path = _stored(source, name, getattr(config, "_commit_hash", None))
        if path is not None and (found := _read(path)) is not None:
            return found
    return None


def _stored(source: str, name: str, commit: str | None) -> Path | None:
    folder = Path(source)
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    from huggingface_hub import errors, try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(source, name, revision=commit)
    except errors.HFValidationError:  # a folder that has been removed
        return None
    return Path(cached) if isinstance(cached, str) else None


def _read(path: Path) -> MeanStd | None:
    content = read_json(path)
    try:
        settings = content.get("image_processor", content)
        if settings.get("do_normalize") is False:
            return ZEROS, ONES
        mean, std = settings.get("image_mean"), settings.get("image_std")
        if mean is None or std is None:
            return None
        return tuple(map(float, mean)), tuple(map(float, std))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not the settings of an image processor: {error}") from error
