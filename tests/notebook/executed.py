"""Executes a notebook as Jupyter does, without Jupyter: its last expressions become outputs."""

import ast
import base64
import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOK = DOCS / "notebook.ipynb"


def read() -> dict[str, Any]:
    """Return the notebook of the documentation."""
    notebook: dict[str, Any] = json.loads(NOTEBOOK.read_text("utf-8"))
    return notebook


def execute(notebook: dict[str, Any]) -> None:
    """Run the code cells in order, and replace their outputs."""
    names: dict[str, Any] = {}
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            value = _run("".join(cell["source"]), names)
            cell["execution_count"] = count
            cell["outputs"] = [] if value is None else [_output(value, count)]


def comparable(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the outputs; pictures, which depend on matplotlib's version, by their size alone."""
    found = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            data = {kind: "".join(content) for kind, content in output["data"].items()}
            if "image/png" in data:
                data = {"image/png": json.dumps(output["metadata"])}
            if "text/html" in data:  # pandas draws the ids of a styled table by chance
                data["text/html"] = re.sub(r"T_[0-9a-f]{5}", "T", data["text/html"])
                data.pop("text/plain")  # an address in memory
            found.append(data)
    return found


def _run(code: str, names: dict[str, Any]) -> Any:
    *before, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        before, last = [*before, last], ast.Expr(ast.Constant(None))
    exec(compile(ast.Module(before, []), "notebook", "exec"), names)
    return eval(compile(ast.Expression(last.value), "notebook", "eval"), names)


def _output(value: Any, count: int) -> dict[str, Any]:
    data: dict[str, Any] = {"text/plain": [f"<{type(value).__name__}>"]}
    metadata: dict[str, Any] = {}
    if hasattr(value, "_repr_html_"):
        data["text/html"] = value._repr_html_().splitlines(keepends=True)
    if hasattr(value, "_repr_png_"):
        content, metadata["image/png"] = value._repr_png_()
        data["image/png"] = base64.b64encode(content).decode()
    return {
        "output_type": "execute_result", "execution_count": count, "data": data,
        "metadata": metadata,
    }  # fmt: skip
