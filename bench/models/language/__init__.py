"""Vision-language models of transformers that answer in words."""

from bench.models.language.answering_model import LanguageModel

__all__ = ["LanguageModel"]
