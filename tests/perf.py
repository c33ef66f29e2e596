"""Wall times as ratios against pyautoattack: same model, images, steps and threads, one run.

python -m tests.perf
"""

import time

import torch

from bench.attacks import build_attack
from bench.attacks.balls import project
from bench.data import index_dataset, load_images
from bench.evaluate import sample_seed
from bench.specs import ApgdCe, NanoDataset, PyAutoAttack
from bench.types import Budget
from tests.parity import classifier

EPS, STEPS, SAMPLES = "2/255", 100, 300


def main() -> None:
    """Print one line per model."""
    spec = NanoDataset(name="cifar10")
    data = load_images(spec, index_dataset(spec, SAMPLES, 0).sample_ids, "native")
    images = torch.from_numpy(data.images).float() / 255
    labels = torch.from_numpy(data.labels)
    seeds = [sample_seed(0, key) for key in data.sample_ids]
    budget = Budget(2 / 255)
    official = PyAutoAttack(kind="pyautoattack", eps=(EPS,), steps=STEPS, chunk=100)
    native = ApgdCe(kind="apgd-ce", eps=(EPS,), steps=STEPS)
    print(f"APGD-CE, {STEPS} steps, {SAMPLES} images, {torch.get_num_threads()} threads")
    for name in ("clip", "fare", "tecoa"):
        model = classifier(name, "cifar10")
        times, robust = [], []
        for attack_spec in (official, native):
            attack = build_attack(attack_spec, batch=100)
            started = time.perf_counter()
            points = attack(model, images, labels, budget, mode="success", seeds=seeds)
            times.append(time.perf_counter() - started)
            with torch.no_grad():
                right = model(project(points, images, budget)).argmax(dim=1) == labels
            robust.append(float(right.float().mean()))
        print(
            f"  {name:<6} pyautoattack {times[0]:6.1f} s ({robust[0]:.1%} robust)   "
            f"native {times[1]:6.1f} s ({robust[1]:.1%})   ratio {times[0] / times[1]:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
