"""Replace modules of one tower by those of another, to find which part makes a tower robust.

R-Adapt's paper replaces CLIP's modules by FARE's, starting at the input: the embedding, then also
the first block's attention, then the whole first block, and so on.
"""

from collections.abc import Iterator, Sequence

from torch import nn

from radapt.clone import clone
from radapt.layout import block_paths, has_part, layout_of
from radapt.tower import describe


def units(tower: nn.Module) -> tuple[str, ...]:
    """Return the names of a tower's units from input to output: `Emb`, `B1`, ..., `BN`, `Head`.

    Raises:
        TypeError: The tower's layout is not known.
    """
    blocks = (f"B{index}" for index, _ in enumerate(block_paths(tower), 1))
    return ("Emb", *blocks, "Head")


def graft(base: nn.Module, donor: nn.Module, modules: Sequence[str]) -> nn.Module:
    """Return a copy of `base` with some of its units replaced by those of `donor`.

    Weights are shared with both towers, which are not changed. The state dict has the names of
    `base`. With all units the outputs equal the donor's to the last bit, with none the base's.
    Hooks on the root module of `base` are copied too.

    Args:
        base: A vision tower that `radapt.layout` knows.
        donor: A tower of the same kind and shape.
        modules: Units and ranges of units. `Emb` is everything before the blocks (patch
            embedding, class token, positions, norm), `Head` everything after them (norm, pooling,
            projection), and `B3` the third block. `B3-Attn` is its first half (norm, attention
            and layer scale), `B3-MLP` its second. A range includes both ends: `..B2`, `B3..`,
            `B2..B4`; `..B1-Attn` is the embedding and the first attention, `..Head` the whole
            donor.

    Raises:
        TypeError: A tower's layout is not known.
        ValueError: A unit does not exist, or the towers differ in shape.
    """
    _check_match(base, donor)
    order = _halves(base)
    chosen = sorted({place for name in modules for place in _span(name, order)})
    grafted, given = clone(base), clone(donor)
    for place in chosen:
        for path in _paths(base, order[place]):
            _replace(grafted, given, path)
    return grafted


def _halves(tower: nn.Module) -> tuple[str, ...]:
    """Return the smallest units (embedding, halves of blocks, head) from input to output."""
    first, *blocks, last = units(tower)
    return (first, *(f"{block}-{half}" for block in blocks for half in ("Attn", "MLP")), last)


def _span(name: str, order: Sequence[str]) -> range:
    """Return the indices in `order` of a unit or a range of units."""
    first, dots, last = name.partition("..")
    ends = (first or order[0], last or order[-1]) if dots else (name, name)
    spans = []
    for end in ends:
        if end in order:
            spans.append(range(order.index(end), order.index(end) + 1))
        elif f"{end}-Attn" in order:
            spans.append(range(order.index(f"{end}-Attn"), order.index(f"{end}-MLP") + 1))
    if len(spans) < 2 or spans[0].start > spans[1].start:
        raise ValueError(
            f"modules: got {name!r}; allowed are Emb, B1 to B{len(order) // 2 - 1}, Head, "
            "halves of a block such as B1-Attn and B1-MLP, and ranges from input to output such as "
            "..B2, B3.. and B2..B4"
        )
    return range(spans[0].start, spans[1].stop)


def _paths(tower: nn.Module, half: str) -> Iterator[str]:
    """Yield the names of the modules and parameters of one of the smallest units."""
    layout = layout_of(tower)
    if half in ("Emb", "Head"):
        parts = layout.embedding if half == "Emb" else layout.head
        yield from (part for part in parts if has_part(tower, part))
        return
    number, _, kind = half.removeprefix("B").partition("-")
    block = block_paths(tower)[int(number) - 1]
    holder = tower.get_submodule(block)
    for name, part in (*holder._modules.items(), *holder._parameters.items()):
        if part is not None and (name in layout.attention) == (kind == "Attn"):
            yield f"{block}.{name}"


def _replace(tower: nn.Module, donor: nn.Module, path: str) -> None:
    """Set a module or parameter of a tower to the donor's; both towers must be own copies."""
    parent, _, leaf = path.rpartition(".")
    holder, source = tower.get_submodule(parent), donor.get_submodule(parent)
    if leaf in source._modules:
        holder._modules[leaf] = source._modules[leaf]
    else:
        holder._parameters[leaf] = source._parameters[leaf]


def _check_match(base: nn.Module, donor: nn.Module) -> None:
    shapes = [
        {name: tuple(value.shape) for name, value in tower.state_dict().items()}
        for tower in (base, donor)
    ]
    for name in {**shapes[0], **shapes[1]}:
        ours, theirs = (shape.get(name, "missing") for shape in shapes)
        if ours != theirs:
            base_blocks, donor_blocks = (len(block_paths(tower)) for tower in (base, donor))
            raise ValueError(
                f"the base is a {describe(base)} of {base_blocks} blocks, the donor a "
                f"{describe(donor)} of {donor_blocks}: {name} is {ours} in the base, "
                f"{theirs} in the donor"
            )
