"""RobustBench's `model_info/<dataset>/<norm>/<model>.json`.

https://github.com/RobustBench/robustbench: accuracies are percentages with two decimals.
`autoattack_acc` is under its AutoAttack, `external` under the attacks of others, which `footnote`
describes. RobustBench's threat model is white-box, and each of its tables has one radius.
"""

import json
from collections.abc import Iterator

from bench.compare.foreign_numbers import DEVIATION, MODEL, SAMPLES, WEIGHTS
from bench.compare.published_number import MEAN
from bench.core.errors import UserError
from bench.core.types import CLEAN
from bench.results.number_format import decimal_text
from bench.results.protocol_summary import weights
from bench.share.shared_numbers import SharedNumber, SharedResults, file_names
from bench.suite.metrics import ACCURACY
from bench.suite.specs import PyAutoAttack

_FOLDERS = {"linf": "Linf", "l2": "L2"}


def files(shared: SharedResults) -> Iterator[tuple[str, str]]:
    """Yield a file per model, dataset, norm and radius that is attacked white-box.

    Raises:
        UserError: The suite has no white-box number of AutoAttack, and no worst case.
    """
    names = file_names(shared.models)
    datasets = file_names([dataset.name for dataset in shared.suite.datasets])
    clean = {(n.model, n.dataset): n for n in shared.numbers if n.attack == CLEAN}
    grouped: dict[tuple[str, str, str, str], list[SharedNumber]] = {}
    for number in shared.numbers:
        wanted = number.is_worst or _is_autoattack(number)
        if wanted and number.threat == "white-box" and number.metric.name == ACCURACY:
            key = (number.model, number.dataset, str(number.norm), number.eps)
            grouped.setdefault(key, []).append(number)
    for (model, dataset, norm, eps), numbers in grouped.items():
        unattacked = clean.get((model, dataset))
        if dataset != MEAN and unattacked is not None:
            folder = f"eps_{eps.replace('/', '-')}/model_info/{datasets[dataset]}/{_FOLDERS[norm]}"
            entry = _entry(shared, unattacked, numbers)
            yield f"{folder}/{names[model]}.json", json.dumps(entry, indent=2) + "\n"
    if not grouped:
        raise UserError(
            f"--to robustbench: suite {shared.suite.suite} has no accuracy under white-box attacks "
            "in the Linf norm, nor under AutoAttack (pyautoattack, standard)"
        )


def _entry(
    shared: SharedResults, clean: SharedNumber, robust: list[SharedNumber]
) -> dict[str, object]:
    first = robust[0]
    described = weights(shared.suite, clean.model)
    accuracies = {
        "external" if number.is_worst else "autoattack_acc": _percent(number) for number in robust
    }
    footnotes = [f"clean: {shared.evidence(clean)}", *map(shared.evidence, robust)]
    return {
        "link": "",
        "name": clean.model,
        "authors": "",
        "additional_data": True,  # zero-shot models have seen other data only
        "dataset": clean.dataset,
        "venue": "",
        "architecture": described,
        "eps": first.eps,
        "clean_acc": _percent(clean),
        **accuracies,
        "footnote": ". ".join(footnotes),
        "unreliable": any(number.doubts for number in robust),
        MODEL: clean.model,
        WEIGHTS: described,
        SAMPLES: str(clean.n),
        DEVIATION: shared.suite.dataset(clean.dataset).deviation,
    }


def _is_autoattack(number: SharedNumber) -> bool:
    return any(
        isinstance(attack, PyAutoAttack) and attack.attack == "standard"
        for attack in number.attacks
    )


def _percent(number: SharedNumber) -> str:
    return decimal_text(number.rate.value, 2, 100.0)
