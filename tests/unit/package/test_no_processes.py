"""Tests that start processes say so."""

import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-S", "-c", ""]


def test_an_unmarked_test_cannot_start_a_process():
    with pytest.raises(pytest.fail.Exception, match="not marked integration"):
        subprocess.run(COMMAND, check=False)


@pytest.mark.integration
def test_a_marked_test_can():
    assert subprocess.run(COMMAND, check=False).returncode == 0
