"""Datasets that torchvision downloads: Caltech-256, an archive of class folders."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import catalogue
from bench.core.errors import CellError
from bench.core.suite_paths import find_path
from bench.data.folder import open_folder
from bench.data.source import Source
from bench.data.split import Split, check_labels
from bench.hub.download import Download
from bench.suite.specs import TorchvisionDataset

_MARK = ".complete"
# URL and MD5 as in torchvision.datasets.Caltech256
_CALTECH256 = "https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar"
_CALTECH256_MD5 = "67b4f42ca05d46448c6bb8ecd2220f6d"


@dataclass(frozen=True, slots=True)
class TorchvisionSource(Source):
    """A dataset in a subfolder of the spec's `root`."""

    spec: TorchvisionDataset

    @property
    def download_folder(self) -> Path:
        """Folder of the unpacked dataset."""
        return find_path(self.spec.root) / self.spec.name

    def downloads(self, seed: int) -> Iterator[Download]:
        """Yield the archive; torchvision shows the progress of its download."""
        folder = self.download_folder
        megabytes = catalogue.datasets()[self.spec.name].megabytes or 0
        left = 0 if _is_complete(folder) else megabytes * 10**6
        yield Download(str(folder), left, folder, lambda _: _fetch(folder))

    def missing(self, seed: int) -> str | None:
        """Return a message if the folder is missing or not completely unpacked, else None."""
        folder = self.download_folder
        return None if _is_complete(folder) else f"{folder} is missing or incomplete"

    def open(self, seed: int | None = None) -> Split:
        """Read ids and labels."""
        folder = self.download_folder
        if seed is not None:
            _fetch(folder)
        elif not _is_complete(folder):
            raise CellError(f"{folder} is missing or incomplete; run `fetch`")
        # torchvision's Caltech256 ignores images in subfolders of a class folder
        split = open_folder(folder / "256_ObjectCategories", self.spec.name, nested=False)
        return check_labels(split, catalogue.datasets()[self.spec.name].classes)

    def native_size(self) -> tuple[int, int] | None:
        """Return the image size from the catalogue, so that a plan needs no download."""
        return catalogue.native_size(self.spec.name)


def _is_complete(folder: Path) -> bool:
    """Return whether the archive was downloaded and completely unpacked."""
    return (folder / _MARK).exists()


def _fetch(folder: Path) -> None:
    """Download Caltech-256, check its MD5 and unpack it, unless this is already done.

    An incomplete archive fails the check and is downloaded again. If the unpacking was
    interrupted, the mark is missing, and the archive is unpacked again.

    Raises:
        CellError: The archive cannot be downloaded or unpacked.
    """
    if _is_complete(folder):
        return
    from bench.core.torchvision_shim import ensure_torchvision

    ensure_torchvision()
    from torchvision.datasets.utils import download_and_extract_archive

    try:
        download_and_extract_archive(_CALTECH256, str(folder), md5=_CALTECH256_MD5)
    except (OSError, RuntimeError) as error:
        raise CellError(
            f"{_CALTECH256} could not be downloaded to {folder} ({error}); run again, or unpack "
            f"the archive there yourself and create the empty file {folder / _MARK}"
        ) from error
    (folder / _MARK).touch()
