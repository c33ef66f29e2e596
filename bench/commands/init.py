"""`init`: writes a shipped suite to a file, for the user to edit."""

import argparse
from pathlib import Path

from bench.core.errors import UserError
from bench.core.identifiers import shown
from bench.core.program import PROGRAM
from bench.core.shipped_files import shipped_suites
from bench.core.suggestions import listed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", metavar="NAME", help="a shipped suite, e.g. zero_shot")
    parser.add_argument("file", metavar="FILE", nargs="?", help="default: NAME.yaml")


def command(options: argparse.Namespace) -> int:
    """Write the file; no file is overwritten."""
    shipped = shipped_suites()
    if options.name not in shipped:
        allowed = listed(options.name, shipped)
        raise UserError(f"NAME: got {shown(options.name)}; allowed: {allowed}")
    text = shipped[options.name].read_text("utf-8")
    file = Path(options.file or f"{options.name}.yaml")
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError as error:
        raise UserError(f"{file}: is there already; give another file: init NAME FILE") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be written: {error}") from error
    print(f"{file}: edit it, then call `{PROGRAM} {file}`")
    return 0
