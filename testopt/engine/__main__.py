"""``python -m testopt.engine``: the engine on stdin and stdout."""

import sys

from testopt.engine.serving import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
