"""Vision-language models of transformers that answer in words."""

from bench.models.language.build import build_language
from bench.models.language.model import LanguageModel
from bench.models.language.tiny import build_tiny

__all__ = ["LanguageModel", "build_language", "build_tiny"]
