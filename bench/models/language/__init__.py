"""Vision-language models of transformers that answer in words."""

from bench.models.language.answering_model import LanguageModel
from bench.models.language.build import build_language
from bench.models.language.tiny_models import build_tiny

__all__ = ["LanguageModel", "build_language", "build_tiny"]
