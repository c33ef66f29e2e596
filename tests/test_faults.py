"""One run per fault that the in-process executor may meet; `make faults` has all of them, often."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.faults.campaign import small_disk, until_hit
from tests.faults.kinds import FAULTS, Fault
from tests.faults.suite import Undisturbed, run_undisturbed


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return run_undisturbed(tmp_path_factory.mktemp("undisturbed"), 2, ["inline"])


@pytest.mark.parametrize("fault", FAULTS["inline"], ids=lambda fault: fault.name)
def test_a_run_that_is_hit_ends_as_if_undisturbed(
    fault: Fault, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk") if fault.small_disk else nullcontext(tmp_path) as disk:
        if disk is None:
            pytest.skip("no small disk can be mounted here")
        outcome = until_hit(fault, "inline", undisturbed, tmp_path, disk, 0)
    assert outcome.hit
    assert not outcome.wrong, (tmp_path / "log").read_text()
