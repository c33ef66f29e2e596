"""The recipe: batches that depend on their number alone, all stages, packed sets."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from bench.data import index_dataset, load_images
from bench.nano.nano_clip import Architecture, load_clip, save_weights
from bench.nano.recipe.batches import Pool, augment, batch_rows
from bench.nano.recipe.pack import pack
from bench.nano.recipe.rawdata import RawSet, load_raw
from bench.nano.recipe.stages import Settings, train_clip, train_robust
from bench.suite.specs import WebDataset
from radapt.finetune import InnerAttack
from radapt.loop import Schedule

TINY = Settings(
    architecture=Architecture(width=64, layers=2, text_width=64, text_layers=1, embedding=32),
    clip=Schedule(steps=6, warmup=2, lr=1e-3, weight_decay=0.05),
    robust=Schedule(steps=4, warmup=1, lr=1e-3, weight_decay=0.0),
    attack=InnerAttack(eps=2 / 255, steps=2, step=2 / 255),
    batch=16,
    shares=(3, 1),
    robust_batch=8,
    seed=0,
)


@pytest.fixture
def pool() -> Pool:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (60, 3, 32, 32), dtype=np.uint8))
    return Pool(
        images,
        torch.arange(60) % 5,
        torch.ones(60, dtype=torch.bool),
        tuple((f"a photo of thing {c}", f"a thing {c}") for c in range(5)),
        ((0, 40), (40, 60)),
    )


def test_batches_visit_every_image_once_a_pass(pool: Pool) -> None:
    rows = np.concatenate([batch_rows(pool, (3, 1), 16, 0, step) for step in range(10)])
    first = rows[rows < 40]
    assert len(first) == 120
    assert (np.bincount(first, minlength=40) == 3).all()
    again = batch_rows(pool, (3, 1), 16, 0, 7)
    assert np.array_equal(again, batch_rows(pool, (3, 1), 16, 0, 7))
    assert not np.array_equal(again, batch_rows(pool, (3, 1), 16, 1, 7))


def test_augmentation_keeps_unmirrored_images_and_the_range(pool: Pool) -> None:
    centre = pool.images[:1].clone()
    mirrored = torch.zeros(1, dtype=torch.bool)
    seen = {
        tuple(
            augment(centre, mirrored, np.random.default_rng(i))[0, 0, 10:20, 10:20]
            .flatten()
            .tolist()
        )
        for i in range(200)
    }
    assert 40 < len(seen) <= 81  # nine by nine shifts, no mirror images
    out = augment(pool.images, pool.mirrored, np.random.default_rng(0))
    assert out.shape == (60, 3, 32, 32)
    assert 0 <= float(out.min()) <= float(out.max()) <= 1


def test_all_stages_train(pool: Pool, tmp_path: Path) -> None:
    clip = train_clip(pool, TINY, tmp_path, Accelerator(cpu=True))
    clip.requires_grad_(False)
    before = {name: value.clone() for name, value in clip.visual.state_dict().items()}
    alone = Pool(pool.images[:40], pool.classes[:40], pool.mirrored[:40], pool.captions, ((0, 40),))
    names = tuple(f"thing {c}" for c in range(5))
    towers = {
        method: train_robust(method, clip, alone, names, TINY, tmp_path, Accelerator(cpu=True))
        for method in ("tecoa", "fare", "tga")
    }
    for tower in towers.values():
        moved = [not torch.equal(value, before[name]) for name, value in tower.state_dict().items()]
        assert all(moved)
    assert all(torch.equal(v, before[n]) for n, v in clip.visual.state_dict().items())
    assert {path.stem for path in tmp_path.glob("*.pt")} == {"clip", "tecoa", "fare", "tga"}
    save_weights(clip, towers, TINY.architecture, tmp_path / "weights")
    again = load_clip("tga", tmp_path / "weights")
    assert again.visual.transformer.layers == 2
    for name, value in towers["tga"].state_dict().items():
        assert torch.allclose(again.visual.state_dict()[name], value, atol=1e-2), name


def test_another_setting_refuses_the_checkpoint(pool: Pool, tmp_path: Path) -> None:
    train_clip(pool, TINY, tmp_path, Accelerator(cpu=True))
    with pytest.raises(ValueError, match="is the checkpoint of a run with other settings"):
        train_clip(pool, replace(TINY, seed=1), tmp_path, Accelerator(cpu=True))


def test_cifar_from_parquet_shards(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)

    def webp(image: np.ndarray) -> bytes:  # type: ignore[type-arg]
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "WEBP", lossless=True)
        return buffer.getvalue()

    for shard in range(2):
        rows = [
            {
                "image": {"bytes": webp(pixels[i]), "path": None},
                "label": i % 2,
                "class_name": ("sweet_pepper", "maple_tree")[i % 2],
            }
            for i in range(shard * 3, shard * 3 + 3)
        ]
        table = pa.Table.from_pylist(rows)
        parquet.write_table(table, tmp_path / f"cifar100-train-0{shard}-of-02.parquet")
    raw = load_raw("cifar100", "train", tmp_path)
    assert np.array_equal(raw.images, pixels.transpose(0, 3, 1, 2))
    assert list(raw.labels) == [0, 1] * 3
    assert raw.classes == ("sweet pepper", "maple tree")


def test_digits_have_disjoint_splits() -> None:
    train_set, test_set = load_raw("digits", "train", None), load_raw("digits", "test", None)
    assert len(train_set.labels) + len(test_set.labels) == 1797
    assert len(test_set.labels) == 500
    assert test_set.images.shape == (500, 3, 32, 32)


def test_packed_sets_read_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (1200, 3, 32, 32), dtype=np.uint8)
    raw = RawSet(images, np.arange(1200) % 3, ("a", "b", "c"))
    pack("digits", raw, tmp_path)
    first = (tmp_path / "digits" / "test" / "0.tar").read_bytes()
    pack("digits", raw, tmp_path)
    assert (tmp_path / "digits" / "test" / "0.tar").read_bytes() == first
    entry = WebDataset(kind="webdataset", name="d", path=str(tmp_path / "digits"))
    data = load_images(entry, index_dataset(entry, 1000, 0).sample_ids, "native")
    assert len(data.labels) == 500
    assert np.bincount(data.labels).max() - np.bincount(data.labels).min() <= 1
    known = {image.tobytes(): label for image, label in zip(images, raw.labels, strict=True)}
    assert all(
        known[image.tobytes()] == label
        for image, label in zip(data.images, data.labels, strict=True)
    )
