"""Compute all that is pinned again, say what moved, and write it."""

import json
import sys

from tests.pinned.changes import FILE, moved_defaults, moved_identities, moved_values, pinned, shown
from tests.pinned.identities import identities, kinds, shipped
from tests.pinned.settings import defaults
from tests.pinned.values import small_run, values

WHY = """\
An id that moved makes stored results worthless, and a value that moved under an id that did not
makes them wrong. Keep the new {file} only where this was meant: a version was raised, a suite
changed its content, or a kind or a setting was added. Else the code is at fault: `git checkout` it.
"""


def main() -> int:
    """Write the file; return 0 where nothing moved, else 1."""
    then = pinned() if FILE.exists() else {"defaults": {}, "identities": {}, "values": {}}
    suites = {**shipped(), **kinds()}
    ids = {name: identities(suite) for name, suite in suites.items()}
    found = {name: values(raw) for name, raw in small_run().items()}
    moved = {name: moved_identities(then["identities"].get(name), ids[name]) for name in ids}
    moved |= {name: moved_values(then["values"].get(name), found[name]) for name in found}
    moved["defaults"] = moved_defaults(then["defaults"], known := defaults())
    gone = (then["identities"].keys() - ids.keys()) | (then["values"].keys() - found.keys())
    moved |= {name: ["this suite is gone"] for name in sorted(gone)}
    whole = {"defaults": known, "identities": ids, "values": found}
    FILE.write_text(json.dumps(whole, indent=0) + "\n", "utf-8")
    lines = {name: lines for name, lines in moved.items() if lines}
    for name, some in lines.items():
        print(shown(name, some))
    print(WHY.format(file=FILE.name) if lines else "nothing moved")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
