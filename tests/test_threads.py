import os
import subprocess
import sys


def spin_count(**environment):
    code = (
        "import os, sys, selective_amnesia; "
        "assert 'torch' in sys.modules; print(os.environ['GOMP_SPINCOUNT'])"
    )
    clean = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"} | environment
    said = subprocess.run(
        [sys.executable, "-c", code], env=clean, stdout=subprocess.PIPE, text=True, check=True
    )
    return said.stdout.strip()


def test_the_package_shortens_the_wait_of_threads_unless_the_user_has_chosen():
    assert spin_count() == "20000"
    assert spin_count(GOMP_SPINCOUNT="7") == "7"
