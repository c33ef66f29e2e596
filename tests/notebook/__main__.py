"""Executes the notebook of the documentation and writes its outputs: python -m tests.notebook."""

import json
import os

from tests.notebook.executed import DOCS, NOTEBOOK, execute, read

os.chdir(DOCS)
notebook = read()
execute(notebook)
NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")
