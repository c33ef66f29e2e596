"""The specs: typed, frozen classes of a suite's entries. Unknown keys are refused."""

from bench.suite.specs.adaptive import ApgdSpec, Backward
from bench.suite.specs.attack_base import NativeSpec, Precision
from bench.suite.specs.attacks import (
    ApgdCe,
    ApgdDlr,
    ApgdEmbedding,
    ApgdPm,
    ApgdT,
    ApgdText,
    ApgdTextTargeted,
    Cw,
    Fgsm,
    MiFgsm,
    Noise,
    Pgd,
    ValueFeatures,
)
from bench.suite.specs.base import Name, Spec
from bench.suite.specs.budgets import eps_value
from bench.suite.specs.datasets import (
    DatasetSpec,
    FolderDataset,
    HubDataset,
    NanoDataset,
    TableDataset,
    TaskName,
    TorchvisionDataset,
    WebDataset,
    expand_dataset,
    task_of,
)
from bench.suite.specs.ensembles import AnyAttack, Ensemble, members_of
from bench.suite.specs.external_attacks import ExternalImages, PyAutoAttack, TorchAttacks
from bench.suite.specs.judge import JudgeSpec, MatchJudge, OpenAIJudge, TransformersJudge
from bench.suite.specs.language_datasets import LanguageDataset
from bench.suite.specs.model_base import Component, Model
from bench.suite.specs.models import (
    Anchor,
    GraftModel,
    ModelSpec,
    NanoModel,
    PythonModel,
    RAdaptModel,
    TinyModel,
)
from bench.suite.specs.presets import ATTACK_PRESETS
from bench.suite.specs.protocol import (
    PRESETS,
    Pixels,
    Protocol,
    Resize,
    Storage,
    VqaRule,
    expand_preset,
)
from bench.suite.specs.published_models import HuggingFaceModel, LvlmModel, OpenClipModel
from bench.suite.specs.threats import EXTERNAL, AnyThreat, Threat

__all__ = [
    "ATTACK_PRESETS",
    "EXTERNAL",
    "PRESETS",
    "Anchor",
    "AnyAttack",
    "AnyThreat",
    "ApgdCe",
    "ApgdDlr",
    "ApgdEmbedding",
    "ApgdPm",
    "ApgdSpec",
    "ApgdT",
    "ApgdText",
    "ApgdTextTargeted",
    "Backward",
    "Component",
    "Cw",
    "DatasetSpec",
    "Ensemble",
    "ExternalImages",
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
    "Model",
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
    "TableDataset",
    "TaskName",
    "Threat",
    "TinyModel",
    "TorchAttacks",
    "TorchvisionDataset",
    "TransformersJudge",
    "ValueFeatures",
    "VqaRule",
    "WebDataset",
    "eps_value",
    "expand_dataset",
    "expand_preset",
    "members_of",
    "task_of",
]
