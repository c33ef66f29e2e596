"""How many passes an attack averages on a model that draws random numbers."""

from collections.abc import Mapping, Sequence

from bench.suite.specs import AnyAttack, Ensemble, ModelSpec


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
