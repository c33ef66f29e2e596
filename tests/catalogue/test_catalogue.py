"""Facts of the public datasets, and how suites name them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import catalogue
from bench.core.errors import SuiteError
from bench.core.torchvision_shim import ensure_torchvision
from bench.nano.recipe.rawdata import DATASETS
from bench.suite.load import load_suite

PAPER = (  # R-Adapt's 16, FARE's two of ImageNet, TGA's own, two for retrieval
    *("imagenet", "cifar10", "cifar100", "stl10", "caltech101", "caltech256", "pets", "flowers"),
    *("food101", "cars", "sun397", "country211", "fgvc_aircraft", "eurosat", "dtd", "pcam"),
    *("imagenet-r", "imagenet_sketch", "tiny-imagenet", "flickr30k", "mscoco_captions"),
)
PROMPTS = {  # counts of CLIP_benchmark, which FARE and TeCoA evaluate with
    **{"cifar10": 18, "cifar100": 18, "stl10": 2, "cars": 8, "caltech101": 34, "pets": 1},
    **{"flowers": 1, "dtd": 8, "eurosat": 3, "fgvc_aircraft": 2, "pcam": 2, "imagenet-r": 80},
    **{"imagenet_sketch": 80, "imagenet": 80, "food101": 1, "sun397": 2, "country211": 5},
    **{"caltech256": 80, "tiny-imagenet": 80},
}
Write = Callable[..., Path]


def test_all_datasets_are_there() -> None:
    assert set(catalogue.datasets()) == set(PAPER)
    assert set(catalogue.names_by_repo().values()) == set(PAPER) - {"caltech256", "tiny-imagenet"}


@pytest.mark.parametrize("name", PAPER)
def test_classes_and_prompts(name: str) -> None:
    facts = catalogue.datasets()[name]
    prompts = catalogue.templates(name)
    if facts.task == "retrieval":
        assert (facts.classes, prompts) == (0, None)
        return
    assert facts.classes >= 2
    assert prompts is not None
    assert len(prompts) == len(set(prompts)) == PROMPTS[name]
    assert all(prompt.count("{c}") == 1 for prompt in prompts)


def test_class_names_are_as_many_as_classes() -> None:
    """Caltech-256's and TinyImageNet's are those of their folders, WordNet ids among them."""
    named = {name for name in PAPER if catalogue.class_names(name)}
    captioned = {"flickr30k", "mscoco_captions"}
    assert named == set(PAPER) - captioned - {"caltech256", "tiny-imagenet"}
    for name in named:
        names = catalogue.class_names(name) or ()
        assert len(names) == catalogue.datasets()[name].classes
        assert all(text == text.strip() != "" for text in names)
        # ImageNet has two cranes and two maillots
        assert len(set(names)) == len(names) - 2 * (name in ("imagenet", "imagenet_sketch"))


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "stl10", "dtd", "fgvc_aircraft"])
def test_class_names_that_stand_in_the_order_of_the_alphabet(name: str) -> None:
    names = catalogue.class_names(name) or ()
    assert list(names) == sorted(names)


def test_imagenet_r_takes_some_of_imagenet_s_names_in_its_order() -> None:
    rest = iter(catalogue.class_names("imagenet") or ())
    assert all(name in rest for name in catalogue.class_names("imagenet-r") or ())


def test_imagenet_is_that_of_open_clip() -> None:
    ensure_torchvision()
    from open_clip import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES

    names = catalogue.imagenet_names()
    assert tuple(names.values()) == tuple(IMAGENET_CLASSNAMES)
    assert list(names) == sorted(names)
    assert len(names) == 1000
    assert catalogue.templates("imagenet") == tuple(t("{c}") for t in OPENAI_IMAGENET_TEMPLATES)


def loaded(write: Write, *datasets: Any) -> list[dict[str, Any]]:
    suite = load_suite(write(datasets=list(datasets)))
    return [dataset.model_dump(exclude_defaults=True) for dataset in suite.datasets]


def test_bare_names_are_embedded_and_others_say_where_they_are_from(suite_file: Write) -> None:
    found = loaded(
        suite_file,
        *("cifar100", "wds/vtab/cifar10", "wds/imagenet1k", "wds/gtsrb", "torchvision/caltech256"),
        {"kind": "hub", "name": "pets", "shards": 1},
        {"kind": "folder", "name": "tiny-imagenet", "path": "data/tiny-imagenet-200/val"},
    )
    assert found == [
        {"name": "cifar100"},
        {"kind": "hub", "name": "cifar10"},
        {"kind": "hub", "name": "imagenet"},
        {"kind": "hub", "name": "gtsrb", "repo": "clip-benchmark/wds_gtsrb"},
        {"kind": "torchvision", "name": "caltech256"},
        {"kind": "hub", "name": "pets", "shards": 1},
        {"kind": "folder", "name": "tiny-imagenet", "path": "data/tiny-imagenet-200/val"},
    ]


def test_the_guides_examples_are_valid(suite_file: Write) -> None:
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    blocks = [block.partition("```")[0] for block in text.split("```yaml\n")[1:]]
    first, samples, second, tables = (yaml.safe_load(block) for block in blocks)
    assert load_suite(suite_file(**samples)).most_samples == 5000
    assert len(loaded(suite_file, *first["datasets"])) == 8
    assert loaded(suite_file, *second) == [{"kind": "hub", "name": "imagenet", "shards": 2}]
    assert [each["kind"] for each in loaded(suite_file, *tables["datasets"])] == ["table"] * 3


@pytest.mark.parametrize("name", DATASETS)
def test_embedded_names_keep_their_meaning(suite_file: Write, name: str) -> None:
    assert loaded(suite_file, name) == [{"name": name}]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "imagenet",
            r"datasets\.0: got 'imagenet'; allowed: embedded: cifar10.*wds/imagenet1k, wds",
        ),
        ("clip-benchmark/wds_cars", r"datasets\.0: got 'clip-benchmark/wds_cars'; allowed: embed"),
        ("torchvision/mnist", r"datasets\.0\.name: got 'mnist'; .*'caltech256'"),
        ({"kind": "hub", "name": "caltech256"}, "use `torchvision/caltech256`"),
        (
            {"kind": "hub", "name": "mine"},
            r"datasets\.0: .*catalogue has no repository for it; give `repo`, or name one of: im",
        ),
        ({"kind": "hub", "name": "pets", "shards": 0}, r"datasets\.0\.shards: got 0"),
        ({"kind": "hub", "name": "x", "repo": "no-owner"}, r"datasets\.0\.repo: got 'no-owner'"),
        ({"kind": "hub", "name": "pets", "path": "x"}, r"datasets\.0\.path: unknown key"),
    ],
)
def test_faults_are_told(suite_file: Write, entry: Any, message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        loaded(suite_file, entry)


def test_the_same_name_from_two_places_is_a_duplicate(suite_file: Write) -> None:
    with pytest.raises(SuiteError, match="datasets: 'cifar10' appears 2 times"):
        loaded(suite_file, "cifar10", "wds/vtab/cifar10")
    loaded(suite_file, "cifar10", {"kind": "hub", "name": "real", "repo": "a/b"})
