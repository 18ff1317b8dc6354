"""``python -m testopt``: the same as the ``testopt`` command."""

from testopt.cli import main

if __name__ == "__main__":
    main()
