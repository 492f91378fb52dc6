"""The lab on a fake device (see `fake_device`); what only a real one can show: `test_gpu.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.long
def test_on_a_device_of_its_own(accelerator):
    if accelerator is None:
        pytest.skip("there is no g++ for the fake device")
    checks = Path(__file__).parent / "fake_device" / "checks.py"
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(checks)],
        env={**os.environ, "FAKE_DEVICE": str(accelerator)},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout
