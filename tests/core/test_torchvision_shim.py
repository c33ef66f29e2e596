import subprocess
import sys


def test_torchvision_imports_and_transforms() -> None:
    code = (
        "from bench.core.torchvision_shim import ensure_torchvision; import torch\n"
        "first = ensure_torchvision(); assert ensure_torchvision() is first\n"
        "from torchvision.transforms.functional import resize\n"
        "assert resize(torch.rand(3, 8, 8), [4, 4], antialias=True).shape == (3, 4, 4)\n"
        "import open_clip, torchattacks"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
