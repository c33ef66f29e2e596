"""A judge that is a text model of transformers on this machine."""

from collections.abc import Generator, Sequence
from functools import cached_property
from typing import Any

import torch

from bench.core.deadline import Check
from bench.core.errors import CellError
from bench.core.torchvision_shim import ensure_torchvision
from bench.hub.weights import weight_files
from bench.models.transformers_loading import loading
from bench.suite.specs import TransformersJudge
from radapt.optional_packages import not_installed

_MAX_NEW_TOKENS = 4  # enough for the digit that the prompt asks for


class LocalModel:
    """Replies to prompts; the model is loaded at the first call."""

    def __init__(self, spec: TransformersJudge, device: torch.device | None, check: Check) -> None:
        """Set the model, its device (the CPU if None), and the check of the time limit."""
        self._spec = spec
        self._device = device or torch.device("cpu")
        self._check = check

    def __call__(self, prompts: Sequence[str]) -> Generator[str]:
        """Yield the greedily decoded reply to each prompt, in order.

        Raises:
            CellError: The model cannot be loaded, or the time limit has passed.
        """
        tokenizer, model = self._loaded
        for prompt in prompts:
            self._check()
            text = prompt
            if tokenizer.chat_template:
                turn = [{"role": "user", "content": prompt}]
                text = tokenizer.apply_chat_template(
                    turn, add_generation_prompt=True, tokenize=False
                )
            # the chat template already adds the special tokens
            inputs = tokenizer(
                text, return_tensors="pt", add_special_tokens=not tokenizer.chat_template
            ).to(self._device)
            with torch.no_grad():
                outputs = model.generate(**inputs, max_new_tokens=_MAX_NEW_TOKENS, do_sample=False)
            yield tokenizer.decode(
                outputs[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
            )

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        ensure_torchvision()  # transformers imports it
        try:
            import transformers
        except ImportError as error:
            raise CellError(f"judge: {not_installed('transformers')}") from error
        folder = weight_files(self._spec)[1].parent  # of the configuration
        with loading(self._spec.name, folder):
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                folder, dtype="auto", trust_remote_code=False
            )
        return tokenizer, model.to(self._device).eval()
