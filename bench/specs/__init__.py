"""What a suite may say: typed, frozen, and closed to keys that do not exist."""

from bench.specs.adaptive import Backward
from bench.specs.against import Against
from bench.specs.attacks import (
    ApgdCe,
    ApgdDlr,
    ApgdEmbedding,
    ApgdSpec,
    ApgdT,
    ApgdText,
    ApgdTextTargeted,
    Cw,
    Fgsm,
    MiFgsm,
    NativeSpec,
    Noise,
    Pgd,
    Precision,
)
from bench.specs.base import Name, Spec
from bench.specs.budgets import eps_value
from bench.specs.datasets import (
    DatasetSpec,
    FolderDataset,
    HubDataset,
    NanoDataset,
    Task,
    TorchvisionDataset,
    WebDataset,
    expand_dataset,
    task_of,
)
from bench.specs.ensembles import AnyAttack, Ensemble
from bench.specs.judges import JudgeSpec, MatchJudge, OpenAIJudge, TransformersJudge
from bench.specs.language import LanguageDataset
from bench.specs.libraries import PyAutoAttack, TorchAttacks
from bench.specs.models import (
    Anchor,
    Component,
    GraftModel,
    HuggingFaceModel,
    LvlmModel,
    ModelSpec,
    NanoModel,
    OpenClipModel,
    PythonModel,
    RAdaptModel,
    TinyModel,
)
from bench.specs.presets import ATTACK_PRESETS
from bench.specs.protocol import PRESETS, Pixels, Protocol, Resize, Storage, expand_preset
from bench.specs.threats import AnyThreat, Threat

__all__ = [
    "ATTACK_PRESETS",
    "PRESETS",
    "Against",
    "Anchor",
    "AnyAttack",
    "AnyThreat",
    "ApgdCe",
    "ApgdDlr",
    "ApgdEmbedding",
    "ApgdSpec",
    "ApgdT",
    "ApgdText",
    "ApgdTextTargeted",
    "Backward",
    "Component",
    "Cw",
    "DatasetSpec",
    "Ensemble",
    "Fgsm",
    "FolderDataset",
    "GraftModel",
    "HubDataset",
    "HuggingFaceModel",
    "JudgeSpec",
    "LanguageDataset",
    "LvlmModel",
    "MatchJudge",
    "MiFgsm",
    "ModelSpec",
    "Name",
    "NanoDataset",
    "NanoModel",
    "NativeSpec",
    "Noise",
    "OpenAIJudge",
    "OpenClipModel",
    "Pgd",
    "Pixels",
    "Precision",
    "Protocol",
    "PyAutoAttack",
    "PythonModel",
    "RAdaptModel",
    "Resize",
    "Spec",
    "Storage",
    "Task",
    "Threat",
    "TinyModel",
    "TorchAttacks",
    "TorchvisionDataset",
    "TransformersJudge",
    "WebDataset",
    "eps_value",
    "expand_dataset",
    "expand_preset",
    "task_of",
]
