"""Every Eval Ever's schema 0.3.0: one JSON file per model with all its numbers.

https://github.com/evaleval/every_eval_ever. Files are called
`data/<benchmark>/<developer>/<model>/<UUID 4>.json`; values in `additional_details` are texts.
"""

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from uuid import UUID

from bench.catalogue.weight_sources import HubCheckpoint, RepositoryFiles
from bench.compare.published_number import MEAN
from bench.core.program import PROJECT, project_version
from bench.results.protocol_summary import weights
from bench.share.shared_numbers import SharedNumber, SharedResults, file_names
from bench.suite.specs import HubDataset

SCHEMA = "0.3.0"
_LOCAL = "local"  # developer of models that are in no repository of the hub


def files(shared: SharedResults) -> Iterator[tuple[str, str]]:
    """Yield a file per model.

    Two things are not known here and left for the user to fill in: who ran the evaluation
    (`source_organization_name`), and the relation to the model's authors.
    """
    names = file_names(shared.models)
    suite, now = shared.suite.suite, str(int(time.time()))
    for model in shared.models:
        identity = _repository(shared, model) or f"{_LOCAL}/{names[model]}"
        record = {
            "schema_version": SCHEMA,
            "evaluation_id": f"{suite}/{identity}/{now}",
            "retrieved_timestamp": now,
            "source_metadata": {
                "source_name": f"{PROJECT} {suite}",
                "source_type": "evaluation_run",
                "source_organization_name": "not stated",
                "evaluator_relationship": "other",
            },
            "eval_library": {"name": PROJECT, "version": project_version() or "unknown"},
            "model_info": _model(shared, model, identity),
            "evaluation_results": [_result(shared, n) for n in shared.of_model(model)],
        }
        # the same file for the same suite and model, so that an export replaces an earlier one
        digest = sha256(f"{suite}/{model}".encode()).digest()
        name = UUID(bytes=digest[:16], version=4)
        yield f"data/{suite}/{identity}/{name}.json", json.dumps(record, indent=1) + "\n"


def _model(shared: SharedResults, model: str, identity: str) -> dict[str, object]:
    published = not identity.startswith(f"{_LOCAL}/")
    described = weights(shared.suite, model)
    return {
        "name": model,
        "id": identity,
        "additional_details": {
            "deployment_type": "self_deployed",
            "model_availability": "open_weights" if published else "unknown",
            "weights": described,
        },
    }


def _result(shared: SharedResults, number: SharedNumber) -> dict[str, object]:
    metric, rate = number.metric, number.rate
    attack = f"{number.attack} at {number.norm} {number.eps}" if number.attacks else number.attack
    what = f"{metric.name}, {attack}" + (f", {number.threat_name}" if number.attacks else "")
    return {
        "evaluation_result_id": f"{number.dataset}/{what}",
        "evaluation_name": f"{number.dataset}, {attack}",
        "source_data": _source(shared, number),
        "metric_config": {
            "evaluation_description": shared.evidence(number),
            "metric_id": metric.name,
            "metric_name": what,
            "metric_unit": "proportion" if metric.highest == 1 else "points",
            "metric_parameters": {
                "attack": number.attack,
                "norm": number.norm,
                "eps": number.eps,
                "threat_model": number.threat_name,
            },
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": metric.highest,
        },
        "score_details": {
            "score": rate.value,
            "details": {
                "threat_model": number.threat_name,
                "flags": " ".join(number.flags),
                "doubtful": " ".join(number.doubts) or "no",
            },
            "uncertainty": {
                "confidence_interval": {
                    "lower": rate.low,
                    "upper": rate.high,
                    "confidence_level": 0.95,
                    "method": _method(number),
                },
                "num_samples": number.n,
            },
        },
    }


def _method(number: SharedNumber) -> str:
    """Return the method of a number's interval; docs/statistics.md describes them."""
    if number.anytime:
        return "confidence sequence by betting, valid at every number of images"
    method = "score interval of a mean over datasets" if number.dataset == MEAN else "Wilson score"
    effective = number.metric.graded or number.metric.shares_images
    return f"{method}, with the effective sample size" if effective else method


def _source(shared: SharedResults, number: SharedNumber) -> dict[str, object]:
    """Return where the images are from."""
    names = [dataset.name for dataset in shared.suite.datasets]
    deviation = shared.deviation(number.dataset)
    details = {"deviation": deviation} if deviation else {}
    if number.dataset == MEAN:
        details["datasets"] = " ".join(names)
    more: dict[str, object] = {"additional_details": details} if details else {}
    spec = None if number.dataset == MEAN else shared.suite.dataset(number.dataset)
    if isinstance(spec, HubDataset):
        repo = {"hf_repo": spec.repository, "hf_split": spec.split, "samples_number": number.n}
        return {"dataset_name": number.dataset, "source_type": "hf_dataset", **repo, **more}
    return {"dataset_name": number.dataset, "source_type": "other", **more}


def _repository(shared: SharedResults, model: str) -> str:
    """Return the hub's repository of a model's weights; empty if they are not in one alone."""
    spec = shared.suite.models[model]
    sources = spec.weight_sources()
    first = sources[0] if len(sources) == 1 and not spec.parents else None
    return first.repository if isinstance(first, HubCheckpoint | RepositoryFiles) else ""
