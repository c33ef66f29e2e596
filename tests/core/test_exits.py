"""Code of users that ends the process, and threads that it leaves behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.exits import exit_raises

ROOT = Path(__file__).parents[2]
LEAVES_A_THREAD = """
import threading, time
from bench.core import exits

exits.GRACE = 0.1
threading.Thread(target=time.sleep, args=(1000,), name="forgotten").start()
print("done")
exits.end_process(3)
"""


def test_an_exit_is_an_error_here_and_ends_a_forked_process() -> None:
    with exit_raises(), pytest.raises(SystemExit) as error:
        os._exit(5)
    assert error.value.code == 5
    code = "import os\nfrom bench.core.exits import exit_raises\nwith exit_raises():\n"
    code += "    if child := os.fork():\n        print(os.waitpid(child, 0)[1] >> 8)\n"
    code += "    else:\n        os._exit(7)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("7\n", 0)


def test_a_thread_that_was_left_behind_does_not_hold_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVES_A_THREAD], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("done\n", 3)
    assert done.stderr == "threads that still run are ended: forgotten\n"
