"""Files of RobustBench and CLIP_benchmark as published numbers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.catalogue import names_by_repo
from bench.catalogue.clip_benchmark_names import catalogue_name, wds_name
from bench.compare.published import given, read_published
from bench.compare.verdicts import compare
from bench.core.errors import UserError
from bench.core.resolved_names import Lock
from bench.core.types import CellResult
from bench.plan.cells import expand
from bench.results.tables import Scored
from bench.suite.load import load_suite

# rows of CLIP_benchmark's table, which the shipped table repeats in percent
HEAD = (
    "acc1,acc5,mean_per_class_recall,dataset,model,pretrained,task,mean_average_precision,"
    "image_retrieval_recall@5,text_retrieval_recall@5,model_fullname\n"
)
DTD = (
    "0.44574468085106383,0.7585106382978724,0.449468085106383,vtab/dtd,ViT-B-16,openai,"
    "zeroshot_classification,,,,ViT-B-16 openai\n"
)
FLICKR = (
    ",,,flickr30k,ViT-B-32-quickgelu,laion400m_e32,zeroshot_retrieval,,0.8546000123023987,"
    "0.9409999847412109,ViT-B-32-quickgelu laion400m_e32\n"
)
# an entry of RobustBench: https://github.com/RobustBench/robustbench
KANG = {
    "link": "https://arxiv.org/abs/2110.12976",
    "name": "Stable Neural ODE",
    "dataset": "cifar10",
    "eps": "8/255",
    "clean_acc": "93.73",
    "reported": "71.28",
    "autoattack_acc": "71.28",
    "external": "64.20",
    "footnote": "AutoAttack plus transfer",
    "unreliable": True,
}


def test_clip_benchmark_names_weights_and_keeps_fractions(tmp_path: Path) -> None:
    table = tmp_path / "benchmark.csv"
    table.write_text(HEAD + DTD + FLICKR)
    dtd, text, image = read_published(given(str(table)))
    assert (dtd.model, dtd.weights) == ("", "ViT-B-16-quickgelu openai")
    assert text.weights == "ViT-B-32-quickgelu laion400m_e32"
    assert (dtd.dataset, dtd.attack, dtd.metric) == ("dtd", "clean", "accuracy")
    assert dtd.value == 0.44574468085106383 and dtd.value_percent == "44.574468085106383"
    assert (text.metric, text.value) == ("text_retrieval_recall@5", 0.9409999847412109)
    assert (image.metric, image.value) == ("image_retrieval_recall@5", 0.8546000123023987)
    shipped = [row for row in read_published(given("clip_benchmark"))
               if (row.table, row.dataset) == ("ViT-B-16", "dtd")]  # fmt: skip
    assert [row.value_percent for row in shipped] == [f"{100 * dtd.value:.2f}"]


def test_a_number_without_a_model_belongs_to_those_with_its_weights(
    suite_file: Callable[..., Path], tmp_path: Path
) -> None:
    openai = {"kind": "open_clip", "pretrained": "openai"}
    suite = load_suite(
        suite_file(
            models={
                "mine": {**openai, "name": "ViT-B-16-quickgelu"},
                "large": {**openai, "name": "ViT-L-14-quickgelu"},
            },
            datasets=["wds/vtab/dtd"], attacks=None, threats=None,
        )
    )  # fmt: skip
    scored = [
        Scored(cell, CellResult(cell.id, "ok", np.arange(94) < 42, tuple(map(str, range(94))),
                                np.zeros(94, np.float32), 1.0, 94, {}))
        for cell in expand(suite, Lock())
    ]  # fmt: skip
    table = tmp_path / "benchmark.csv"
    table.write_text(HEAD + DTD + FLICKR)
    found, absent = compare(suite, scored, read_published(given(str(table))))
    assert [item.published.model for item in found] == ["mine"]
    assert {item.verdict for item in found} == {"agrees"}
    assert absent == 2  # the two recalls


def test_a_row_under_attack_is_no_clean_number(tmp_path: Path) -> None:
    record = {
        "dataset": "wds/vtab/pcam", "model": "ViT-L-14", "pretrained": "fare.pt",
        "task": "zeroshot_classification", "metrics": {"acc1": 0.5, "acc5": 0.9}, "language": "en",
    }  # fmt: skip
    path = tmp_path / "one.json"
    for attack, expected in ((None, ("clean", "")), ("none", ("clean", "")), ("aa", ("aa", "4"))):
        path.write_text(json.dumps({**record, "attack": attack, "eps": 4}))
        (row,) = read_published(given(str(path)))
        assert (row.attack, row.eps) == expected
        assert (row.dataset, row.value_percent) == ("pcam", "50.000000")


def test_robustbench_gives_clean_autoattack_and_external(tmp_path: Path) -> None:
    folder = tmp_path / "Linf"
    folder.mkdir()
    (folder / "Kang2021Stable.json").write_text(json.dumps(KANG))
    clean, standard, external = read_published(given(str(tmp_path)))
    assert {row.model for row in (clean, standard, external)} == {"Kang2021Stable"}
    assert (clean.attack, clean.eps, clean.value_percent) == ("clean", "", "93.73")
    assert (standard.attack, standard.preset_attack) == ("standard", "standard")
    assert (standard.eps, standard.value_percent) == ("8/255", "71.28")
    assert (external.attack, external.value_percent) == ("unnamed", "64.20")
    assert external.threat_model == "white-box" and external.threat_basis == "stated"
    assert "marks the robust accuracy as unreliable" in external.note
    assert "AutoAttack plus transfer" in external.note


def test_robustbench_in_l2_is_no_linf_number(tmp_path: Path) -> None:
    folder = tmp_path / "L2"
    folder.mkdir()
    (folder / "A.json").write_text(json.dumps({**KANG, "eps": "0.5"}))
    attacks = [row.attack for row in read_published(given(str(folder)))]
    assert attacks == ["clean", "standard-l2", "unnamed-l2"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.json", '{"accuracy": 3}', "got JSON with the keys 'accuracy'; allowed: a CSV file"),
        ("p.json", "[1]", "got JSON with the keys 'none'; allowed: .* RobustBench's model_info"),
        ("p.json", '{"dataset": 1', "p.json: not valid JSON"),
        ("p.csv", "a,b\n1,2\n", "the columns model, .* are missing; allowed: .*CLIP_benchmark"),
        ("p.csv", HEAD + DTD.replace("0.4457", "4.457"), "line 2: got value_percent '445.7"),
        ("p.csv", HEAD + DTD.replace("0.4457", "1e9999999"), "line 2: got value_percent '1e99"),
        ("p.json", json.dumps({**KANG, "clean_acc": [1]}), r"p.json: got value_percent '\[1\]'"),
    ],
)
def test_other_files_are_refused_with_what_is_allowed(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_published(given(str(path)))


def test_a_folder_without_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no JSON file; allowed"):
        read_published(given(str(tmp_path)))


def test_names_of_datasets_lead_to_the_catalogue_and_back() -> None:
    for repo, name in names_by_repo().items():
        assert catalogue_name(wds_name(repo)) == name
    given_names = ("imagenet1k", "vtab/dtd", "cifar10", "vtab/dmlab", "mine/of/me")
    assert [*map(catalogue_name, given_names)] == [
        "imagenet",
        "dtd",
        "cifar10",
        "dmlab",
        "mine/of/me",
    ]
