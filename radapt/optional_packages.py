"""Packages that only some uses need, and the commands that install them."""

# package -> the extra of this project that brings it, with what it needs itself
_EXTRAS = {
    "transformers": "lvlm",
    "ray": "ray",
    "pyarrow": "tables",
    "matplotlib": "plot",
    "torchattacks": "torchattacks",
    "accelerate": "train",
    "trackio": "trackio",
    "wandb": "wandb",
    "tensorboard": "tensorboard",
}
# torchattacks requires a version of `requests` from 2021, which pip would install
_ALONE = {"torchattacks": " && pip install --no-deps torchattacks"}


def install_advice(package: str) -> str:
    """Return the command that installs a package."""
    if package not in _EXTRAS:
        return f"pip install {package}"
    return f"pip install 'radapt-bench[{_EXTRAS[package]}]'{_ALONE.get(package, '')}"


def is_optional(package: str | None) -> bool:
    """Return whether an extra of this project brings a package."""
    return package in _EXTRAS


def not_installed(package: str) -> str:
    """Return the message that a package is missing, with the command that installs it."""
    return f"{package} is not installed; run `{install_advice(package)}`"
