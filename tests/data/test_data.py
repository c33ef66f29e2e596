import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import CellError
from bench.core.torchvision_shim import ensure_torchvision
from bench.data import fit, index_dataset, load_images
from bench.nano.recipe.rawdata import DATASETS
from bench.suite.specs import NanoDataset, Pixels, WebDataset
from tests.conftest import png, write_shard

Maker = Callable[..., Path]


def spec(root: Path) -> WebDataset:
    return WebDataset(kind="webdataset", name="set", path=str(root))


def test_reads_chosen_images_in_order(dataset: Maker) -> None:
    entry = spec(dataset())
    lock = index_dataset(entry, 5, seed=0)
    data = load_images(entry, lock.sample_ids, "native")
    assert data.images.shape == (5, 3, 32, 32)
    assert data.images.dtype == np.uint8
    assert list(data.labels) == [int(key[1:]) % 3 for key in lock.sample_ids]
    assert data.classes == ("thing 0", "thing 1", "thing 2")


def test_subsets_are_nested_and_seeded(dataset: Maker) -> None:
    entry = spec(dataset())
    few, many = (set(index_dataset(entry, n, 0).sample_ids) for n in (4, 8))
    assert few < many
    assert index_dataset(entry, 4, 0) == index_dataset(entry, 4, 0)
    assert set(index_dataset(entry, 4, 1).sample_ids) != few
    assert len(index_dataset(entry, 1000, 0).sample_ids) == 12


def test_fingerprint_follows_content(dataset: Maker) -> None:
    root = dataset()
    before = index_dataset(spec(root), 4, 0).fingerprint
    write_shard(
        root / "test" / "1.tar",
        [("s9.cls", b"0"), ("s9.png", png(np.zeros((32, 32, 3), np.uint8)))],
    )
    assert index_dataset(spec(root), 4, 0).fingerprint != before


def test_grey_and_palette_images_become_rgb(dataset: Maker) -> None:
    root = dataset()
    grey = png(np.full((32, 32), 7, np.uint8))
    write_shard(root / "test" / "0.tar", [("a.png", grey), ("a.cls", b"1")])
    data = load_images(spec(root), ("a",), "native")
    assert (data.images == 7).all()


def break_label(root: Path) -> str:
    write_shard(
        root / "test" / "0.tar", [("a.cls", b"9"), ("a.png", png(np.zeros((32, 32, 3), np.uint8)))]
    )
    return "got label 9; allowed: 0 to 2"


def break_image(root: Path) -> str:
    write_shard(root / "test" / "0.tar", [("a.cls", b"0"), ("a.png", b"not an image")])
    return "cannot be decoded"


def break_pair(root: Path) -> str:
    write_shard(root / "test" / "0.tar", [("a.cls", b"0")])
    return "a lacks its image or its label|it has no images"


def break_archive(root: Path) -> str:
    path = root / "test" / "0.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    return "truncated"


def cut_between_entries(root: Path) -> str:
    path = root / "test" / "0.tar"
    with tarfile.open(path) as archive:
        middle = archive.getmembers()[4].offset
    path.write_bytes(path.read_bytes()[:middle])
    return "damaged or truncated after entry"


def spoil_a_header(root: Path) -> str:
    path = root / "test" / "0.tar"
    with tarfile.open(path) as archive:
        middle = archive.getmembers()[4].offset
    data = bytearray(path.read_bytes())
    data[middle : middle + 512] = b"\xff" * 512
    path.write_bytes(data)
    return "damaged or truncated after entry"


def blank_a_name(root: Path) -> str:
    (root / "classnames.txt").write_text("a\n\nb\n")
    return r"classnames\.txt, line 2: is empty, which would shift"


def spoil_a_prompt(root: Path) -> str:
    (root / "zeroshot_classification_templates.txt").write_text("a {c}\na photo of {}\n")
    return r"templates\.txt, line 2: 'a photo of \{\}' has no placeholder \{c\}"


def break_size(root: Path) -> str:
    write_shard(
        root / "test" / "0.tar", [("a.cls", b"0"), ("a.png", png(np.zeros((16, 16, 3), np.uint8)))]
    )
    return "2 different sizes"


def remove_shard(root: Path) -> str:
    (root / "test" / "1.tar").unlink()
    return r"1\.tar is missing"


def remove_count(root: Path) -> str:
    (root / "test" / "nshards.txt").unlink()
    return r"nshards\.txt is missing"


def remove_names(root: Path) -> str:
    (root / "classnames.txt").unlink()
    return r"classnames\.txt: cannot be read \(No such file"


@pytest.mark.parametrize(
    "harm",
    (
        *(break_label, break_image, break_pair, break_archive, break_size),
        *(remove_shard, remove_count, remove_names),
        *(cut_between_entries, spoil_a_header, blank_a_name, spoil_a_prompt),
    ),
)
def test_damage_is_named(dataset: Maker, harm: Callable[[Path], str]) -> None:
    root = dataset()
    message = harm(root)
    with pytest.raises(CellError, match=message):
        entry = spec(root)
        load_images(entry, index_dataset(entry, 100, 0).sample_ids, "native")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CellError, match="no such dataset folder"):
        index_dataset(spec(tmp_path / "nowhere"), 4, 0)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (224, 224), (100, 77)])
def test_fit_equals_torchvision_on_pil(size: tuple[int, int]) -> None:
    ensure_torchvision()
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    bicubic = InterpolationMode.BICUBIC
    crop = Compose([Resize(224, bicubic), CenterCrop(224)])(image)
    assert np.array_equal(fit(image, Pixels(size=224, fit="crop")), crop)
    squash = Resize((224, 224), bicubic)(image)
    assert np.array_equal(fit(image, Pixels(size=224, fit="squash")), squash)


@pytest.mark.parametrize("name", DATASETS)
def test_embedded_sets(name: str) -> None:
    entry = NanoDataset(name=name)  # type: ignore[arg-type]
    lock = index_dataset(entry, 10_000, 0)
    assert 500 <= len(lock.sample_ids) <= 1000
    data = load_images(entry, lock.sample_ids[:20], "native")
    assert data.images.shape == (20, 3, 32, 32)
    assert all("{c}" in template for template in data.templates)
