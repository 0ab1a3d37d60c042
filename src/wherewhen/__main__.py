"""``python -m wherewhen`` is the command line."""

import sys

from wherewhen.cli import main

if __name__ == "__main__":
    sys.exit(main())
