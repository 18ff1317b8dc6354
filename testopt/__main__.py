"""``python -m testopt``: the same as the ``testopt`` command."""

from testopt.cli import run

if __name__ == "__main__":
    run()
