"""A dataset source takes three files: its spec, its module, and its line in the lookup."""

import zipfile
from pathlib import Path

from bench.data import index_dataset, load_images
from bench.suite.specs import NanoDataset
from tests.conftest import png
from tests.support.additions import Copy

FILES = 3

SPEC = '''

class ZipDataset(Dataset):
    """A zip archive with one folder of images per class."""

    kind: Literal["zip"]
    name: Name
    path: UserPath
'''

SOURCE = '''"""A zip archive of the user's own with one folder of images per class."""

import hashlib
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.digests import sha256
from bench.core.errors import CellError
from bench.data.source import Source
from bench.data.split import Split, check_labels
from bench.suite.specs.datasets import ZipDataset
from radapt.class_folders import SUFFIXES


@dataclass(frozen=True, slots=True)
class ZipSource(Source):
    """An archive of class folders."""

    spec: ZipDataset

    def missing(self, seed: int) -> str | None:
        """Return that the archive is missing, or None."""
        place = self.spec.path
        return None if Path(place).is_file() else f"{place}: no such archive"

    def open(self, seed: int | None = None) -> Split:
        """List the images: CLASS/NAME.png has the label of its class among the sorted ones."""
        place = self.spec.path
        try:
            with zipfile.ZipFile(place) as archive:
                names = [n for n in archive.namelist() if n.lower().endswith(SUFFIXES)]
        except (OSError, zipfile.BadZipFile) as error:
            raise CellError(f"{place}: is no zip archive that can be read ({error})") from error
        classes = sorted({name.partition("/")[0] for name in names})
        labels = {name: classes.index(name.partition("/")[0]) for name in names}
        prompts = ("a photo of a {c}.",)
        split = Split(place, labels, tuple(classes), prompts, self._read, self._digest)
        return check_labels(split)

    def _read(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        with zipfile.ZipFile(self.spec.path) as archive:
            for name in names:
                yield name, archive.read(name)

    def _digest(self, names: Sequence[str]) -> str:
        return hashlib.sha256(sha256(Path(self.spec.path))).hexdigest()
'''

SUITE = """
suite: added
protocol: {preset: radapt-paper, pixels: native}
samples: 4
models:
  CLIP: {kind: nano, weights: clip}
datasets:
  - {kind: zip, name: zipped, path: images.zip}
  - {kind: folder, name: unzipped, path: images}
attacks:
  - {kind: pgd, eps: 4/255, steps: 2}
threats: [white-box]
"""


def add_images(root: Path) -> None:
    """Write four embedded images of CIFAR-10 as class folders, and these as a zip archive."""
    spec = NanoDataset(name="cifar10")
    data = load_images(spec, index_dataset(spec, 4, 0).sample_ids, "native")
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
            path = root / "images" / data.classes[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(image.transpose(1, 2, 0)))
            archive.write(path, path.relative_to(root / "images").as_posix())


def test_a_zip_archive_is_added_in_three_files(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    folder = 'kind: Literal["folder"]\n    name: Name\n    path: UserPath\n'
    copy.insert("bench/suite/specs/datasets.py", folder, SPEC)
    copy.insert(
        "bench/suite/specs/datasets.py", "        | FolderDataset\n", "        | ZipDataset\n"
    )
    copy.write("bench/data/zip_source.py", SOURCE)
    kinds = "bench/data/source_kinds.py"
    last = "from bench.data.webdataset_source import WebDatasetSource\n"
    copy.insert(kinds, last, "from bench.data.zip_source import ZipSource\n")
    copy.insert(kinds, '    "folder": FolderSource,\n', '    "zip": ZipSource,\n')
    assert len(copy.touched) <= FILES

    add_images(tmp_path)
    rows = copy.run(SUITE)
    found = {(row["dataset"], row["attack"]): row for row in rows}
    assert len(rows) == len(found) == 4
    for attack in ("clean", "pgd"):
        zipped, unzipped = found["zipped", attack], found["unzipped", attack]
        assert (zipped["status"], zipped["n"]) == ("ok", "4")
        assert zipped["value"] == unzipped["value"]
    values = [float(found["zipped", attack]["value"]) for attack in ("clean", "pgd")]
    assert values[0] > values[1]  # the images are those that the model knows
