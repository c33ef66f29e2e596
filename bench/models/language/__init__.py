"""Vision-language models of transformers that answer in words."""

from bench.models.language.build import build_language
from bench.models.language.model import LanguageModel

__all__ = ["LanguageModel", "build_language"]
