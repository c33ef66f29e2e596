"""Questions to a text model of transformers on this machine."""

from collections.abc import Generator, Sequence
from functools import cached_property
from typing import Any

import torch

from bench.core.errors import CellError
from bench.core.torchvision_shim import ensure_torchvision
from bench.models.transformers_loading import loading
from bench.suite.specs import TransformersJudge

_TOKENS = 4  # a digit is asked for


class LocalModel:
    """Replies to prompts; the model is loaded when it is first asked."""

    def __init__(self, spec: TransformersJudge, device: torch.device | None) -> None:
        """Say which model is asked, and where it runs; on the CPU where nothing is said."""
        self._spec = spec
        self._device = device or torch.device("cpu")

    def __call__(self, prompts: Sequence[str]) -> Generator[str]:
        """Yield the likeliest reply to each prompt, in their order.

        Raises:
            CellError: The model cannot be loaded.
        """
        tokenizer, model = self._loaded
        for prompt in prompts:
            asked = prompt
            if tokenizer.chat_template:
                turn = [{"role": "user", "content": prompt}]
                asked = tokenizer.apply_chat_template(
                    turn, add_generation_prompt=True, tokenize=False
                )
            # a template writes the special tokens itself
            given = tokenizer(
                asked, return_tensors="pt", add_special_tokens=not tokenizer.chat_template
            ).to(self._device)
            with torch.no_grad():
                said = model.generate(**given, max_new_tokens=_TOKENS, do_sample=False)
            yield tokenizer.decode(said[0, given["input_ids"].shape[1] :], skip_special_tokens=True)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        ensure_torchvision()  # which transformers imports
        try:
            import transformers
        except ImportError as error:
            raise CellError(
                "a judge of transformers needs the extra: pip install '.[lvlm]'"
            ) from error
        name = self._spec.name
        options: dict[str, Any] = {"trust_remote_code": False}
        if self._spec.revision:
            options["revision"] = self._spec.revision
        with loading(name, name):
            tokenizer = transformers.AutoTokenizer.from_pretrained(name, **options)
            model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                name, dtype="auto", **options
            )
        return tokenizer, model.to(self._device).eval()
