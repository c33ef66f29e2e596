"""Models that the user defines in Python."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any, cast

from torch import Tensor, nn

from bench.core.errors import CellError
from bench.core.module_files import import_module
from bench.core.types import ImageTextModel
from bench.models.build_context import BuildContext
from bench.models.clip import ClipModel
from bench.models.language import LanguageModel
from bench.models.own_outputs import OwnAnswers, OwnEmbeddings, OwnLogits
from bench.suite.specs import PythonModel

_EMBEDDING_MEMBERS = ("encode_image", "encode_text", "logit_scale")
_ANSWERING_MEMBERS = ("log_likelihood", "visual_tokens", "answer")
_LEVELS = 8  # of objects and containers between the model, or a module of it, and the next module
_NO_MODULES_IN = (type, ModuleType, Tensor, str, bytes, int, float, complex, range)


def build_python_model(
    spec: PythonModel, context: BuildContext
) -> ImageTextModel | LanguageModel | OwnAnswers | OwnLogits:
    """Import the factory that the suite names, and call it.

    Raises:
        CellError: `--trust` is not set, the factory cannot be imported, or the returned object
            lacks a member that models need.
    """
    if not context.trust:
        raise CellError(f"{spec.target} is code named by the suite; run with --trust to import it")
    module, _, attribute = spec.target.partition(":")
    try:
        imported = import_module(module, spec.module_folders)
    except ImportError as error:
        raise CellError(f"{spec.target}: {error}") from error
    factory = getattr(imported, attribute, None)
    if factory is None:
        raise CellError(f"{spec.target}: module {module!r} has no attribute {attribute!r}")
    model = factory(device=context.device, **spec.args)
    if spec.logits and not (hasattr(model, "classify") or callable(model)):
        raise CellError(
            f"{spec.target} returned a {type(model).__name__}; with `logits: true` it must return "
            "an object with `classify(images, class_names)`, or that can be called with images"
        )
    needed = _ANSWERING_MEMBERS if spec.answers else _EMBEDDING_MEMBERS
    for member in () if spec.logits else needed:
        if not hasattr(model, member):
            instead = "" if spec.answers else "; for a model of logits add `logits: true`"
            raise CellError(
                f"{spec.target} returned a {type(model).__name__} without {member}; needed: "
                f"{', '.join(needed)}{instead}"
            )
    for part in modules_in(model):
        with suppress(NotImplementedError):  # exported programs have no training mode
            part.eval()  # a user's own `eval` may return nothing
        part.requires_grad_(False)
    if spec.logits:
        return OwnLogits(model, spec.target)
    if isinstance(model, ClipModel | LanguageModel):  # the user has used our classes
        return model
    return (OwnAnswers if spec.answers else OwnEmbeddings)(model, spec.target)


def modules_in(model: object) -> Iterator[nn.Module]:
    """Yield the modules of a model: itself, and those that it holds in any way.

    Modules are looked for in attributes of objects and of the model's class, in dictionaries,
    lists, tuples and sets, in bound methods, closures and partial functions. Global variables are
    not searched.
    """
    queue, seen = [(model, 0), *((value, 1) for value in _class_attributes(model))], {id(model)}
    for held, level in queue:  # the list grows, and keeps the objects alive so that ids stay unique
        if _is(held, nn.Module):
            yield cast(nn.Module, held)
            level = 0
        if level == _LEVELS:
            continue
        for inner in _held_by(held):
            if id(inner) not in seen and not _is(inner, *_NO_MODULES_IN):
                seen.add(id(inner))
                queue.append((inner, level + 1))


def _is(held: object, *kinds: type) -> bool:
    """Return whether an object has one of some types; no code of the object runs."""
    return issubclass(type(held), kinds)


def _held_by(holder: Any) -> Iterator[object]:
    if _is(holder, dict):
        yield from holder.values()
    elif _is(holder, list, tuple, set, frozenset):
        yield from holder
    elif _is(holder, MethodType):
        yield from (holder.__self__, holder.__func__)
    elif _is(holder, FunctionType):
        for cell in holder.__closure__ or ():
            with suppress(ValueError):  # the variable has no value yet
                yield cell.cell_contents
    elif _is(holder, partial):
        yield from (holder.func, holder.args, holder.keywords)
    slots = [name for kind in type(holder).__mro__ for name in _slots(kind)]
    for name in ("__dict__", *slots):
        with suppress(AttributeError):  # there is no such attribute, or it has no value yet
            yield object.__getattribute__(holder, name)


def _slots(kind: type) -> tuple[str, ...]:
    names = vars(kind).get("__slots__", ())
    return (names,) if isinstance(names, str) else tuple(names)


def _class_attributes(model: object) -> Iterator[object]:
    for kind in type(model).__mro__:
        if kind.__module__.partition(".")[0] not in ("builtins", "torch"):
            yield from vars(kind).values()
