"""Grafts: towers that take some of their units from another."""

import pytest
import torch
from torch import Tensor, nn

from radapt.graft import graft, units
from radapt.tower import embedding
from tests.support.random_towers import pixels, random_tower, randomised
from tests.support.towers import TOWERS, open_clip_tower

Pair = tuple[nn.Module, nn.Module]


@pytest.fixture(params=TOWERS)
def pair(request: pytest.FixtureRequest) -> Pair:
    return random_tower(request.param, 0), random_tower(request.param, 1)


def output(tower: nn.Module) -> Tensor:
    return embedding(tower, pixels())


def taken(grafted: nn.Module, donor: nn.Module) -> set[str]:
    """Names of the parameters that a graft shares with its donor."""
    theirs = {id(parameter) for parameter in donor.parameters()}
    return {name for name, value in grafted.named_parameters() if id(value) in theirs}


def test_all_units_are_the_donor_and_none_is_the_base(pair: Pair) -> None:
    base, donor = pair
    assert units(base) == ("Emb", "B1", "B2", "Head")
    assert not torch.allclose(output(base), output(donor))
    assert torch.equal(output(graft(base, donor, [])), output(base))
    for everything in (units(base), ["..Head"], ["Emb.."], ["..B1", "B1-MLP.."]):
        whole = graft(base, donor, everything)
        assert torch.equal(output(whole), output(donor))
        assert len(taken(whole, donor)) == len(list(donor.parameters()))


def test_units_divide_a_tower(pair: Pair) -> None:
    base, donor = pair
    blocks = [f"B{k}-{half}" for k in (1, 2) for half in ("Attn", "MLP")]
    parts = [taken(graft(base, donor, [unit]), donor) for unit in ("Emb", *blocks, "Head")]
    assert all(parts)
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(list(base.parameters()))


def test_towers_stay_as_they_were(pair: Pair) -> None:
    base, donor = pair
    before = output(base), output(donor)
    states = [dict(tower.state_dict()) for tower in pair]
    grafted = graft(base, donor, ["Emb", "B2", "Head"])
    assert list(grafted.state_dict()) == list(base.state_dict())
    assert not torch.allclose(output(grafted), before[0])
    assert torch.equal(output(base), before[0]) and torch.equal(output(donor), before[1])
    for tower, state in zip(pair, states, strict=True):
        assert all(value is state[name] or torch.equal(value, state[name])
                   for name, value in tower.state_dict().items())  # fmt: skip


def test_a_graft_can_be_grafted_and_undone(pair: Pair) -> None:
    base, donor = pair
    grafted = graft(graft(base, donor, ["..B1"]), donor, ["Head"])
    assert torch.equal(output(grafted), output(graft(base, donor, ["..B1", "Head"])))
    undone = graft(grafted, base, ["..B1", "Head"])
    assert torch.equal(output(undone), output(base))


def test_ranges() -> None:
    base, donor = (randomised(open_clip_tower(layers=3), seed) for seed in (0, 1))

    def same(left: list[str], right: list[str]) -> bool:
        return taken(graft(base, donor, left), donor) == taken(graft(base, donor, right), donor)

    assert same(["..B1-Attn"], ["Emb", "B1-Attn"])
    assert same(["..B2"], ["Emb", "B1", "B2"])
    assert same(["B2.."], ["B2", "B3", "Head"])
    assert same(["B1..B2"], ["B2", "B1-Attn", "B1-MLP"])
    assert same(["B1-MLP..B2-Attn"], ["B1-MLP", "B2-Attn"])
    assert same(["..Emb"], ["Emb"])
    attention = taken(graft(base, donor, ["B1-Attn"]), donor)
    prefix = "transformer.resblocks.0."
    assert attention == {
        *(prefix + name for name in ("ln_1.weight", "ln_1.bias")),
        *(prefix + f"attn.in_proj_{name}" for name in ("weight", "bias")),
        *(prefix + f"attn.out_proj.{name}" for name in ("weight", "bias")),
    }


@pytest.mark.parametrize("name", ["B4", "B0", "Foo", "", "B2..B1", "B1..B9", "Emb-Attn", "b1"])
def test_unknown_units_are_told_with_what_is_allowed(name: str) -> None:
    tower = open_clip_tower(layers=3)
    with pytest.raises(ValueError, match=f"got {name!r}; allowed are Emb, B1 to B3, Head"):
        graft(tower, tower, ["Emb", name])


def test_towers_of_other_shapes_are_refused() -> None:
    base = open_clip_tower(layers=3)
    words = r"of 3 blocks, the donor a .* of 2: .*resblocks\.2.* missing in the donor"
    with pytest.raises(ValueError, match=words):
        graft(base, open_clip_tower(layers=2), ["Emb"])
    with pytest.raises(ValueError, match=r"positional_embedding is \(17, 32\).*\(5, 32\)"):
        graft(base, open_clip_tower(layers=3, image_size=16), ["Emb"])
    with pytest.raises(TypeError, match="Sequential has no known blocks"):
        graft(nn.Sequential(), base, ["Emb"])
