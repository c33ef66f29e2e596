"""Attacks on models that draw random numbers: passes that are averaged, and seeds."""

from collections.abc import Mapping, Sequence

from bench.suite.specs import AnyAttack, Ensemble, ModelSpec, PyAutoAttack, members_of


def passes_of_model(models: Mapping[str, ModelSpec], name: str) -> int:
    """Return the number of passes that an attack averages on a model, its own or of a part.

    Args:
        models: The suite's models, by name.
        name: Name of a model.
    """
    spec = models[name]
    return max(spec.passes, *(passes_of_model(models, part) for part in spec.parents.values()), 1)


def with_passes_of(
    attack: AnyAttack, models: Mapping[str, ModelSpec], sources: Sequence[str]
) -> AnyAttack:
    """Return an attack on some models with its number of passes instead of `eot: model`.

    Args:
        attack: The attack, as the suite declares it.
        models: The suite's models, by name.
        sources: Names of the attacked models.
    """
    if not isinstance(attack, Ensemble) or attack.eot == 1:
        return attack
    if attack.eot != "model":
        return attack.with_passes(attack.eot, attack.eot)
    bases = [base for name in sources if (base := models[name].architecture_of)]
    own, of_base = (
        max((passes_of_model(models, name) for name in names), default=1)
        for names in (sources, bases)
    )
    return attack.with_passes(own, of_base)


def seeding_identity(
    attack: AnyAttack, models: Mapping[str, ModelSpec], sources: Sequence[str]
) -> dict[str, int]:
    """Return the version of pyautoattack's seeds, on which numbers of random models depend.

    In version 1 the library's first pass drew the numbers of the pass that scores the images. An
    attack with `eot` above 1 has had no such version.

    Args:
        attack: The attack, with its number of passes.
        models: The suite's models, by name.
        sources: Names of the attacked models.
    """
    official = any(isinstance(member, PyAutoAttack) for member in members_of(attack))
    averaged = isinstance(attack, Ensemble) and attack.eot != 1
    random = any(passes_of_model(models, name) > 1 for name in sources)
    return {"seeding": 2} if official and random and not averaged else {}
