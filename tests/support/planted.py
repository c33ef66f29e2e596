"""Checkpoints and datasets with code in every place that could hold it; it leaves a file if run."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.conftest import write_shard
from tests.support import small_clip as open_clip_files
from tests.support.question_files import picture
from tests.support.small_hugging_face import small_clip as small_hugging_face
from tests.support.small_language import small_llava
from tests.tasks.test_judges import small_model

GADGET = "{{ cycler.__init__.__globals__.os.system('touch %s') }}"  # leaves a lax sandbox


class _Pickled:
    """Runs code when it is unpickled without restrictions."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.code,)


@dataclass(frozen=True)
class Planter:
    """Plants code, and finds what ran.

    Attributes:
        root: An empty folder.
        whole: A sound checkpoint of each kind, by kind.
    """

    root: Path
    whole: dict[str, Path]

    @property
    def ran(self) -> list[str]:
        """Names under which the code that ran was planted."""
        return sorted(path.name for path in self.root.glob("ran-*"))

    def mark(self, name: str) -> Path:
        return self.root / f"ran-{name}"

    def code(self, name: str) -> str:
        return f"open({str(self.mark(name))!r}, 'w').close()\n"

    def pickled(self, name: str) -> bytes:
        """Return a checkpoint whose unpickling runs code."""
        buffer = io.BytesIO()
        torch.save({"visual.proj": _Pickled(self.code(name))}, buffer)
        return buffer.getvalue()

    def copy(self, kind: str, name: str) -> Path:
        """Return a copy of a sound checkpoint with code to which no file refers yet."""
        folder = self.root / name
        shutil.copytree(self.whole[kind], folder)
        (folder / "planted.py").write_text(self.code(name) + "class Planted: pass\n")
        return folder


def write_whole(root: Path) -> dict[str, Path]:
    """Write a sound checkpoint of each kind."""
    kinds = ("open_clip", "hugging_face", "lvlm", "judge")
    folders = {kind: root / kind for kind in kinds}
    for folder in folders.values():
        folder.mkdir()
    for name, content in open_clip_files.hub_files(open_clip_files.small_clip()).items():
        (folders["open_clip"] / name).write_bytes(content)
    small_hugging_face(folders["hugging_face"])
    small_llava(folders["lvlm"])
    small_model(folders["judge"])
    return folders


def edit(path: Path, **changes: Any) -> None:
    """Set some keys of a JSON file; it is made if it does not exist."""
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **changes}))


def ask(path: Path, auto: str, *, several: bool = False, **changes: Any) -> None:
    """Set `auto_map` of a configuration, so that `auto` is the class in `planted.py` beside it."""
    # with the folder, since a loader may read the configuration from a copy of it
    named = f"{path.parent}--planted.Planted"
    edit(path, auto_map={auto: [named, None] if several else named}, **changes)


def ask_in_text(folder: Path, **text: Any) -> Path:
    """Change the text tower of an open_clip checkpoint; return the configuration."""
    path = folder / "open_clip_config.json"
    model = json.loads(path.read_text())["model_cfg"]
    edit(path, model_cfg={**model, "text_cfg": {**model["text_cfg"], **text}})
    return path


def tokenizer(planter: Planter, kind: str, name: str) -> Path:
    """Plant a tokenizer's class."""
    folder = planter.copy(kind, name)
    path = folder / "tokenizer_config.json"
    ask(path, "AutoTokenizer", several=True, tokenizer_class="Planted")
    if kind == "open_clip":
        ask_in_text(folder, hf_tokenizer_name="owner/words")
        (folder / "tokenizer.json").write_text("{}")
    return folder


def trusted_tokenizer(planter: Planter, name: str, said: object = True) -> Path:
    """Plant a tokenizer's class, with the option that lets open_clip run it."""
    folder = tokenizer(planter, "open_clip", name)
    ask_in_text(folder, tokenizer_kwargs={"trust_remote_code": said})
    return folder


def text_tower(planter: Planter, name: str) -> Path:
    """Plant the class of a text tower's configuration, in another folder."""
    other = planter.copy("judge", f"{name}-text")
    ask(other / "config.json", "AutoConfig", model_type="planted")
    folder = planter.copy("open_clip", name)
    ask_in_text(folder, hf_model_name=str(other), hf_tokenizer_name=str(other))
    shutil.copy(other / "tokenizer.json", folder)
    shutil.copy(other / "tokenizer_config.json", folder)
    return folder


def config(planter: Planter, kind: str, name: str) -> Path:
    folder = planter.copy(kind, name)
    ask(folder / "config.json", "AutoConfig", model_type="planted")
    return folder


def processor(planter: Planter, name: str) -> Path:
    folder = planter.copy("lvlm", name)
    ask(folder / "processor_config.json", "AutoProcessor", processor_class="Planted")
    return folder


def image_processor(planter: Planter, name: str) -> Path:
    folder = planter.copy("lvlm", name)
    path = folder / "preprocessor_config.json"
    ask(path, "AutoImageProcessor", image_processor_type="Planted")
    known = json.loads((folder / "processor_config.json").read_text())
    known.pop("image_processor")
    (folder / "processor_config.json").write_text(json.dumps(known))
    return folder


def weights(planter: Planter, kind: str, name: str) -> Path:
    """Plant code in pickled weights, in place of the sound ones."""
    folder = planter.copy(kind, name)
    for path in folder.glob("*.safetensors"):
        path.unlink()
    file = "open_clip_pytorch_model.bin" if kind == "open_clip" else "pytorch_model.bin"
    (folder / file).write_bytes(planter.pickled(name))
    return folder


def generation(planter: Planter, name: str) -> Path:
    """Plant a method of generation beside a model that has its own."""
    folder = planter.copy("lvlm", name)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(
        planter.code(name) + "def generate(model, **_): return None\n"
    )
    return folder


def template(planter: Planter, name: str) -> Path:
    folder = planter.copy("lvlm", name)
    (folder / "chat_template.jinja").write_text(GADGET % planter.mark(name))
    return folder


def _clip(make: Callable[[Planter, str], Path]) -> Callable[[Planter, str], dict[str, Any]]:
    return lambda f, name: {"kind": "open_clip", "name": f"local-dir:{make(f, name)}"}


def _tower(planter: Planter, name: str) -> dict[str, Any]:
    (planter.root / f"{name}.pt").write_bytes(planter.pickled(name))
    sound = planter.copy("open_clip", name)
    tower = str(planter.root / f"{name}.pt")
    return {"kind": "open_clip", "name": f"local-dir:{sound}", "tower": tower}


def _anchor(planter: Planter, name: str) -> dict[str, Any]:
    path = planter.root / f"{name}.safetensors"
    path.write_bytes(planter.pickled(name))
    return {
        "kind": "radapt", "base": "CLIP", "anchor": {"file": str(path)}, "alpha": 1, "cutoff": 40,
    }  # fmt: skip


def _transformers(
    kind: str, make: Callable[[Planter, str], Path]
) -> Callable[[Planter, str], dict[str, Any]]:
    own = {"precision": "fp32"} if kind == "lvlm" else {}
    return lambda f, name: {"kind": kind, "name": str(make(f, name)), **own}


def _other_processor(planter: Planter, name: str) -> dict[str, Any]:
    """A tokenizer's class in the folder of the processor, which has no model beside it."""
    folder = tokenizer(planter, "hugging_face", name)
    (folder / "config.json").unlink()
    sound = planter.copy("hugging_face", f"{name}-sound")
    return {"kind": "hugging_face", "name": str(sound), "processor": str(folder)}


# by name: a model's entry in a suite, and the message that refuses it; empty if it is loaded
CLIPS: dict[str, tuple[Callable[[Planter, str], dict[str, Any]], str]] = {
    "told-tokenizer": (
        _clip(trusted_tokenizer),
        r"open_clip_config\.json: model_cfg\.text_cfg\.tokenizer_kwargs\.trust_remote_code: got",
    ),
    "told-in-words": (
        _clip(lambda f, name: trusted_tokenizer(f, name, "TRUE")), "trust_remote_code: got True",
    ),
    "tokenizer": (
        _clip(lambda f, name: tokenizer(f, "open_clip", name)),
        r"tokenizer/tokenizer_config\.json: auto_map: got .*planted",
    ),
    "text-tower": (_clip(text_tower), r"text-tower-text/config\.json: auto_map: got .*planted"),
    "weights": (
        _clip(lambda f, name: weights(f, "open_clip", name)), "not loaded because it may run code",
    ),
    "tower": (_tower, "not a checkpoint with only weights"),
    "anchor": (_anchor, "not an anchor"),
    "hf-config": (
        _transformers("hugging_face", lambda f, name: config(f, "hugging_face", name)),
        r"hf-config/config\.json: auto_map: got",
    ),
    "hf-tokenizer": (  # transformers has a class of its own for it
        _transformers("hugging_face", lambda f, name: tokenizer(f, "hugging_face", name)), "",
    ),
    "hf-processor": (_other_processor, r"hf-processor/tokenizer_config\.json: auto_map: got"),
    "hf-weights": (
        _transformers("hugging_face", lambda f, name: weights(f, "hugging_face", name)),
        "not loaded because it may run code",
    ),
}  # fmt: skip
SPEAKERS: dict[str, tuple[Callable[[Planter, str], dict[str, Any]], str]] = {
    "lvlm-config": (
        _transformers("lvlm", lambda f, name: config(f, "lvlm", name)),
        r"lvlm-config/config\.json: auto_map: got",
    ),
    "lvlm-tokenizer": (_transformers("lvlm", lambda f, name: tokenizer(f, "lvlm", name)), ""),
    "lvlm-processor": (
        _transformers("lvlm", processor), r"lvlm-processor/processor_config\.json: auto_map: got",
    ),
    "lvlm-images": (
        _transformers("lvlm", image_processor),
        r"lvlm-images/preprocessor_config\.json: auto_map: got",
    ),
    "lvlm-weights": (
        _transformers("lvlm", lambda f, name: weights(f, "lvlm", name)),
        "not loaded because it may run code",
    ),
    "lvlm-generation": (_transformers("lvlm", generation), ""),
    "lvlm-template": (_transformers("lvlm", template), "is unsafe"),
}  # fmt: skip
JUDGES: dict[str, tuple[Callable[[Planter, str], Path], str]] = {
    "judge-config": (lambda f, name: config(f, "judge", name), r"config\.json: auto_map: got"),
    "judge-tokenizer": (lambda f, name: tokenizer(f, "judge", name), "tokenizer_config.json: auto"),
    "judge-weights": (
        lambda f, name: weights(f, "judge", name),
        "not loaded because it may run code",
    ),
}


def plant_data(planter: Planter, make: Callable[..., Path]) -> list[dict[str, str]]:
    """Plant code in datasets; `make` writes one in CLIP_benchmark's layout. Return their entries.

    The first and the last are sound beside the code; the labels of the second are pickled.
    """
    pickled = planter.pickled("member")
    roots = {"shards": make("shards", 4), "labels": make("labels", 4)}
    for name, root in roots.items():
        (root / f"{name}.py").write_text(planter.code("script"))  # as scripts of the hub are called
        (root / "__init__.py").write_text(planter.code("package"))
        kinds = ["pkl", "pickle", "pyd", "pth", "npy", *(["cls"] if name == "labels" else [])]
        files = [(f"s9999999.{kind}", pickled) for kind in kinds]
        write_shard(root / "test" / "2.tar", [*files, ("run.py", planter.code("tar").encode())])
        (root / "test" / "nshards.txt").write_text("3\n")
    folder = planter.root / "folder"
    for name, value in (("cat", 60), ("dog", 200)):
        picture(folder / name, "1.png", value, (32, 32))
        (folder / name / "2.py").write_text(planter.code("class"))
        (folder / name / "3.pkl").write_bytes(pickled)
    sharded = [{"kind": "webdataset", "name": name, "path": str(at)} for name, at in roots.items()]
    return [*sharded, {"kind": "folder", "name": "folder", "path": str(folder)}]
