"""Spec of datasets of images with questions or reference captions."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.catalogue.embedded_names import EMBEDDED_SUBSET, EmbeddedName
from bench.suite.specs.base import IN_SUITE, Dataset, Name, UserPath

Format = Literal[
    "coco-captions",
    "karpathy",
    "flickr-tokens",
    "textcaps",
    "vqav2",
    "textvqa",
    "vizwiz",
    "scienceqa",
    "pope",
    "v-attack",
    "embedded",
]
QuestionType = Literal["caption", "question", "what", "whether"]

# The keys that each format needs.
_NEEDS: dict[Format, tuple[str, ...]] = {
    "coco-captions": ("annotations", "images"),
    "karpathy": ("annotations", "images"),
    "flickr-tokens": ("annotations", "images"),
    "textcaps": ("annotations", "images"),
    "vqav2": ("questions", "annotations", "images"),
    "textvqa": ("questions", "images"),
    "vizwiz": ("questions", "images"),
    "scienceqa": ("questions", "images"),
    "pope": ("questions", "images"),
    "v-attack": ("ask", "objects", "targets", "images"),
    "embedded": ("ask", "of"),
}
# The keys that a format may have in addition.
_MAY_HAVE: dict[Format, tuple[str, ...]] = {
    "karpathy": ("split",),
    "scienceqa": ("split",),
    "flickr-tokens": ("split",),
}
# The question types of each format; the first is the default.
_QUESTION_TYPES: dict[Format, tuple[QuestionType, ...]] = {
    "coco-captions": ("caption",),
    "karpathy": ("caption",),
    "flickr-tokens": ("caption",),
    "textcaps": ("caption",),
    "vqav2": ("question",),
    "textvqa": ("question",),
    "vizwiz": ("question",),
    "scienceqa": ("question",),
    "pope": ("question",),
    "v-attack": ("caption", "question"),
    "embedded": ("what", "whether", "caption"),
}
_KEYS = ("questions", "annotations", "objects", "targets", "images", "split", "of", "ask")

# Prompts of RobustVLM (arXiv:2402.12336) for LLaVA, of V-Attack (`_DESCRIBE`), and of LLaVA 1.5's
# evaluation (VizWiz and ScienceQA).
_CAPTION = "Provide a short caption for this image."
_DESCRIBE = "Describe the image briefly in one sentence."
_SHORT = "{question}\nAnswer the question using a single word or phrase."
_PROMPTS: dict[Format, str] = {
    "vizwiz": "{question}\nWhen the provided information is insufficient, respond with "
    "'Unanswerable'.\nAnswer the question using a single word or phrase.",
    "scienceqa": "{question}\nAnswer with the option's letter from the given choices directly.",
    "v-attack": "{question}",
}


class LanguageDataset(Dataset):
    """Images with questions or captions: published annotation files, or embedded sets.

    Attributes:
        format: Format of the files.
        name: Name in tables.
        questions: File of the questions (VQAv2, TextVQA, VizWiz, ScienceQA, POPE, V-Attack's VQA).
        annotations: File of the answers (VQAv2) or captions (COCO, Karpathy's splits, Flickr's
            tokens, TextCaps).
        objects: V-Attack's file of the object that each image shows.
        targets: V-Attack's file of the attack's target for each image.
        images: Folder of the images.
        split: Split in Karpathy's or ScienceQA's file; `test` by default. For Flickr's tokens, a
            file with the name of an image per line; all images by default.
        of: Name of the embedded images.
        ask: Question type. V-Attack: `caption`, or each `question` about an image. Embedded sets:
            `caption`, `what` an image shows, or `whether` it shows an object.
        prompt: Prompt that replaces the format's own. `{question}` is the placeholder of the
            question, if there is one.
    """

    kind: Literal["language"]
    format: Format
    name: Name
    questions: UserPath | None = None
    annotations: UserPath | None = None
    objects: UserPath | None = None
    targets: UserPath | None = None
    images: UserPath | None = None
    split: Annotated[str, IN_SUITE] | None = None
    of: EmbeddedName | None = None
    ask: QuestionType | None = None
    prompt: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _has_keys_of_format(self) -> Self:
        allowed = _QUESTION_TYPES[self.format]
        if self.ask is not None and self.ask not in allowed:
            raise PydanticCustomError(
                "ask",
                "allowed for the format {format}: {allowed}",
                {"format": self.format, "allowed": ", ".join(allowed)},
            )
        needs = [*_NEEDS[self.format]]
        if self.format == "v-attack" and self.ask == "question":
            needs.append("questions")
        given = [key for key in _KEYS if getattr(self, key) is not None]
        missing = [key for key in needs if key not in given]
        optional = [
            *_MAY_HAVE.get(self.format, ()),
            *(["ask"] if len(allowed) == 1 else []),
        ]
        unused = [key for key in given if key not in (*needs, *optional)]
        if missing or unused:
            raise PydanticCustomError(
                "files",
                "the format {format} needs the keys {needs}; missing: {missing}; not used by the "
                "format: {unused}",
                {
                    "format": self.format,
                    "needs": _listed(needs),
                    "missing": _listed(missing),
                    "unused": _listed(unused),
                },
            )
        return self

    @model_validator(mode="after")
    def _prompt_has_placeholder(self) -> Self:
        has_question = self.question_type != "caption"
        if self.prompt is not None and ("{question}" in self.prompt) != has_question:
            needed = "needs" if has_question else "has no question and must not contain"
            raise PydanticCustomError(
                "prompt",
                "the `prompt` of this dataset {needed} the placeholder {question}",
                {"needed": needed, "question": "{question}"},
            )
        return self

    @property
    def deviation(self) -> str:
        """Return whether the images are a subset of the published ones."""
        return EMBEDDED_SUBSET if self.format == "embedded" else ""

    @property
    def question_type(self) -> QuestionType:
        """What a model is asked about each image."""
        return self.ask or _QUESTION_TYPES[self.format][0]

    def prompt_for(self, question: str = "") -> str:
        """Return the prompt of a question; without a question, the prompt of a caption."""
        return self._template().replace("{question}", question)

    def _template(self) -> str:
        if self.prompt is not None:
            return self.prompt
        if self.question_type == "caption":
            return _DESCRIBE if self.format == "v-attack" else _CAPTION
        return _PROMPTS.get(self.format, _SHORT)


def _listed(keys: list[str]) -> str:
    return ", ".join(keys) or "none"
