"""Datasets of images that a model is asked about in words."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.suite.specs.base import Dataset, Name, UserPath
from bench.suite.specs.embedded_names import EMBEDDED_SUBSET, EmbeddedName

Format = Literal["coco-captions", "karpathy", "vqav2", "textvqa", "pope", "v-attack", "embedded"]
Ask = Literal["caption", "question", "what", "whether"]

# which keys a format needs; all others but `prompt`, Karpathy's `split` and the one thing that
# it can `ask` are of no meaning to it
_NEEDS: dict[Format, tuple[str, ...]] = {
    "coco-captions": ("annotations", "images"),
    "karpathy": ("annotations", "images"),
    "vqav2": ("questions", "annotations", "images"),
    "textvqa": ("questions", "images"),
    "pope": ("questions", "images"),
    "v-attack": ("ask", "objects", "targets", "images"),
    "embedded": ("ask", "of"),
}
_ASKS: dict[Format, tuple[Ask, ...]] = {
    "coco-captions": ("caption",),
    "karpathy": ("caption",),
    "vqav2": ("question",),
    "textvqa": ("question",),
    "pope": ("question",),
    "v-attack": ("caption", "question"),
    "embedded": ("what", "whether", "caption"),
}
_KEYS = ("questions", "annotations", "objects", "targets", "images", "split", "of", "ask")

# RobustVLM's (arXiv:2402.12336) for LLaVA, and V-Attack's
_CAPTION = "Provide a short caption for this image."
_DESCRIBE = "Describe the image briefly in one sentence."
_SHORT = "{question}\nAnswer the question using a single word or phrase."


class LanguageDataset(Dataset):
    """Images asked about in words: COCO, Flickr30k, VQAv2, TextVQA, POPE, COCO-300, embedded sets.

    Attributes:
        format: Whose files they are.
        questions: File of the questions (VQAv2, TextVQA, POPE, V-Attack's VQA).
        annotations: File of the answers (VQAv2) or captions (COCO, Karpathy's splits).
        objects: V-Attack's file of what each image shows.
        targets: V-Attack's file of what it is to be taken for.
        images: Folder of the images.
        split: Of Karpathy's file; `test` where nothing is said.
        of: Name of the embedded images.
        ask: What is asked: V-Attack's images for a `caption` or each `question` about them, the
            embedded ones for a `caption`, `what` they show, or `whether` they show something.
        prompt: What a model is told instead of the format's own words; `{question}` stands for
            the question, where there is one.
    """

    kind: Literal["language"]
    format: Format
    name: Name
    questions: UserPath | None = None
    annotations: UserPath | None = None
    objects: UserPath | None = None
    targets: UserPath | None = None
    images: UserPath | None = None
    split: str | None = None
    of: EmbeddedName | None = None
    ask: Ask | None = None
    prompt: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _says_what_its_format_needs(self) -> Self:
        allowed = _ASKS[self.format]
        if self.ask is not None and self.ask not in allowed:
            raise PydanticCustomError(
                "ask",
                "format {format} can `ask`: {allowed}",
                {"format": self.format, "allowed": ", ".join(allowed)},
            )
        needs = [*_NEEDS[self.format]]
        if self.format == "v-attack" and self.ask == "question":
            needs.append("questions")
        given = [key for key in _KEYS if getattr(self, key) is not None]
        missing = [key for key in needs if key not in given]
        may = [
            *(["split"] if self.format == "karpathy" else []),
            *(["ask"] if len(allowed) == 1 else []),
        ]
        foreign = [key for key in given if key not in (*needs, *may)]
        if missing or foreign:
            raise PydanticCustomError(
                "files",
                "format {format} needs {needs}; {said}",
                {
                    "format": self.format,
                    "needs": _listed(needs),
                    "said": f"missing: {_listed(missing)}; of no meaning here: {_listed(foreign)}",
                },
            )
        return self

    @model_validator(mode="after")
    def _prompt_has_the_question(self) -> Self:
        asks = self.question_type != "caption"
        if self.prompt is not None and ("{question}" in self.prompt) != asks:
            needed = "needs" if asks else "has no question for"
            raise PydanticCustomError(
                "prompt",
                "this dataset's `prompt` {needed} the placeholder {question}",
                {"needed": needed, "question": "{question}"},
            )
        return self

    @property
    def deviation(self) -> str:
        """Say where the images are a part of a published set."""
        return EMBEDDED_SUBSET if self.format == "embedded" else ""

    @property
    def question_type(self) -> Ask:
        """What is asked of each image."""
        return self.ask or _ASKS[self.format][0]

    def prompt_for(self, question: str = "") -> str:
        """Return what a model is told, a question in its place."""
        return self._template().replace("{question}", question)

    def _template(self) -> str:
        if self.prompt is not None:
            return self.prompt
        if self.question_type == "caption":
            return _DESCRIBE if self.format == "v-attack" else _CAPTION
        return "{question}" if self.format == "v-attack" else _SHORT


def _listed(keys: list[str]) -> str:
    return ", ".join(keys) or "none"
