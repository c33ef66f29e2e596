"""Fingerprints of weights and tensors, to check which run a training state belongs to."""

import hashlib

import torch
from torch import Tensor, nn


def fingerprint(*parts: nn.Module | Tensor | None) -> str:
    """Return a hash of weights and tensors: of their names, types, shapes and values."""
    digest = hashlib.sha256()
    for part in parts:
        named = part.state_dict() if isinstance(part, nn.Module) else {"": part}
        for name, tensor in named.items():
            digest.update(name.encode())
            if tensor is not None:
                digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
                flat = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
                digest.update(flat.numpy().data)
    return digest.hexdigest()[:16]
