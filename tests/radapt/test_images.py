"""Images from class folders and shards; batches that depend on their number alone."""

import io
import itertools
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from radapt.clip import Clip
from radapt.compat import ensure_torchvision
from radapt.images import Images, open_images, parts, to_tensor


def picture(value: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.fromarray(np.full((*size, 3), value, np.uint8))


def encoded(value: int) -> bytes:
    buffer = io.BytesIO()
    picture(value).save(buffer, "PNG")
    return buffer.getvalue()


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    root = tmp_path / "wds"
    (root / "train").mkdir(parents=True)
    (root / "classnames.txt").write_text("cat\ndog\n")
    for shard in range(2):
        with tarfile.open(root / "train" / f"{shard}.tar", "w") as archive:
            for index in range(5):
                number = shard * 5 + index
                add(archive, f"s{number:07d}.cls", str(number % 2).encode())
                add(archive, f"s{number:07d}.png", encoded(number * 20))
    return root


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    root = tmp_path / "folders"
    for number in range(10):
        place = root / "train" / ("cat", "dog")[number % 2] / ("", "images")[number // 5]
        place.mkdir(parents=True, exist_ok=True)
        picture(number * 20).save(place / f"{number}.png")
    return root


@pytest.mark.parametrize("kind", ["shards", "folders"])
def test_every_image_comes_with_its_label(kind: str, request: pytest.FixtureRequest) -> None:
    images = open_images(request.getfixturevalue(kind), (8, 8))
    assert images.classes == ("cat", "dog")
    found = sorted((round(float(image.mean()) * 255), label) for image, label in images)
    assert found == [(number * 20, number % 2) for number in range(10)]


def test_images_are_covered_cropped_and_in_range() -> None:
    wide = Image.fromarray(
        np.repeat(np.arange(40, dtype=np.uint8)[None, :, None], 20, 0).repeat(3, 2)
    )
    tensor = to_tensor(wide, (10, 10))  # 40x20 becomes 20x10, of which the centre stays
    assert tensor.shape == (3, 10, 10)
    assert float(tensor.mean()) * 255 == pytest.approx(19.5, abs=0.6)
    assert to_tensor(picture(255, (3, 7)), (5, 5)).min() == 1


def test_squares_are_cut_as_torchvision_cuts_them() -> None:
    transforms = ensure_torchvision().transforms
    as_clip = transforms.Compose(
        [
            transforms.Resize(24, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(24),
            transforms.ToTensor(),
        ]
    )
    rng = np.random.default_rng(0)
    for height, width in ((375, 500), (31, 47), (24, 25), (100, 24), (67, 33), (24, 24), (20, 23)):
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        assert torch.equal(to_tensor(image, (24, 24)), as_clip(image)), (height, width)


def rows_of(images: Images, first: int, count: int, **extra: int) -> list[list[int]]:
    stream = parts(images, 4, 0, first, **extra)
    return [
        [round(float(image.mean()) * 255) // 20 for image in batch]
        for batch, _ in itertools.islice(stream, count)
    ]


def test_a_part_depends_on_its_number_alone(shards: Path) -> None:
    images = open_images(shards, (8, 8))
    whole = rows_of(images, 0, 10)
    assert rows_of(images, 7, 3) == whole[7:]
    assert sorted(itertools.chain(*whole[:5])) == sorted([*range(10), *range(10)])
    assert rows_of(images, 0, 4, workers=2) == whole[:4]
    shares = [rows_of(images, 0, 4, process=index, processes=2) for index in range(2)]
    for part, one, two in zip(whole, *shares, strict=False):
        assert sorted(part) == sorted(one + two)
    taken, labels = images.take(3, seed=1)
    assert taken.shape == (3, 3, 8, 8)
    assert torch.equal(taken, images.take(3, seed=1)[0])
    assert labels.dtype == torch.int64


def test_wordnet_ids_become_words_where_they_are_imagenets_and_make_no_prompts_else() -> None:
    texts: list[str] = []

    def encode(given: Sequence[str]) -> torch.Tensor:
        texts.extend(given)
        return torch.ones(len(given), 2)

    clip = Clip(torch.nn.Identity(), encode, 1.0, (), (), "clip")
    ids = tuple(f"n{number:08d}" for number in range(1000))
    assert clip.classes(ids, "a photo of a {c}").shape == (1000, 2)
    assert texts[:2] == ["a photo of a tench", "a photo of a goldfish"]
    for names in (("dog", "n01440764"), ids[:200], ids[::-1]):
        with pytest.raises(ValueError, match=r"a WordNet id instead of a name.*in classnames\.txt"):
            clip.classes(names, "a photo of a {c}")


def test_hidden_folders_are_no_classes_and_empty_folders_are_refused(folders: Path) -> None:
    for name in (".cache", "bird"):
        (folders / "train" / name).mkdir()
    (folders / "train" / ".cache" / "0.png").write_bytes(encoded(0))
    with pytest.raises(ValueError, match=r"1 of 3 class folders have no images.*'bird'"):
        open_images(folders, (8, 8))
    (folders / "train" / "bird").rmdir()
    images = open_images(folders, (8, 8))
    assert images.classes == ("cat", "dog")
    assert len(images) == 10
    (folders / "classnames.txt").write_text("bird\ncat\ndog\n")
    with pytest.raises(ValueError, match=r"classnames\.txt: 3 names for 2 class folders"):
        open_images(folders, (8, 8))
    with pytest.raises(ValueError, match=r"give the path of a split, such as .*train"):
        open_images(folders, (8, 8), "test")


def test_a_shard_that_is_cut_is_no_smaller_dataset(shards: Path) -> None:
    shard = shards / "train" / "1.tar"
    with tarfile.open(shard) as archive:
        middle = archive.getmembers()[4].offset
    shard.write_bytes(shard.read_bytes()[:middle])
    with pytest.raises(ValueError, match=r"1\.tar: damaged or truncated after entry"):
        open_images(shards, (8, 8))


def test_links_of_a_shard_are_not_followed(shards: Path) -> None:
    shard = shards / "train" / "1.tar"
    with tarfile.open(shard, "a") as archive:
        add(archive, "link.cls", b"0")
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    with pytest.raises(ValueError, match=r"1\.tar: 'link\.png' is not a plain file"):
        open_images(shards, (8, 8))


def test_what_cannot_be_read_is_told(shards: Path, folders: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        open_images(tmp_path / "none", (8, 8))
    with pytest.raises(ValueError, match="images: got 11; allowed: 1 to 10"):
        open_images(shards, (8, 8)).take(11, seed=0)
    whole = (shards / "train" / "1.tar").read_bytes()
    (shards / "train" / "1.tar").write_bytes(b"not an archive" * 100)
    with pytest.raises(ValueError, match=r"1\.tar: damaged or truncated archive"):
        open_images(shards, (8, 8))
    (shards / "train" / "1.tar").write_bytes(whole)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="neither class folders with images nor"):
        open_images(tmp_path / "empty", (8, 8))
    (shards / "classnames.txt").write_text("cat\n")
    with pytest.raises(ValueError, match="1 names, but a label is 1"):
        open_images(shards, (8, 8))
    (shards / "classnames.txt").unlink()
    with pytest.raises(ValueError, match=r"classnames\.txt: missing"):
        open_images(shards, (8, 8))
    (folders / "train" / "cat" / "0.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"0\.png at byte 0: the image cannot be decoded"):
        open_images(folders, (8, 8))[0]
