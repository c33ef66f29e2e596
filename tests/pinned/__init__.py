"""Identities and values that no restructuring may move, and results that must stay readable.

`pinned.json` holds, for every shipped suite and for suites that use every kind (`every_kind.yaml`),
the ids of all cells and crafts under a lock that never changes, every value of a small run
(`small_run.yaml`), and the defaults of all settings.
`stored/` is a folder of results as a run left it: they are read, and nothing is computed again.

    python -m tests.pinned      computes it all again, prints what moved, and writes pinned.json

Whoever finds that an id moved has made stored results worthless: they would all be computed again.
Whoever finds that a value moved, with the id as it was, has made stored results wrong: the version
that is part of the id has to be raised. So `pinned.json` is written again only where that was
meant: a version was raised, a suite changed its content, or a kind or a setting was added.
`stored/` is made anew for the same reasons alone:

    cd tests/pinned/stored
    python ../../../run_bench.py suite.yaml --results results --device cpu
    python ../../../run_bench.py check suite.yaml --results results --device cpu
    python ../../../run_bench.py export suite.yaml --results results --bundle bundle.zip
    python ../../../run_bench.py answers.yaml --results results --device cpu --no-check

Of what these write, only what a run reads is kept here, one craft, and `cells.csv`; the bundle is
without its `environment.json`, which nothing reads.
"""
