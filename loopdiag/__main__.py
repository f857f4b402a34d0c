"""``python -m loopdiag`` is the command line."""

import sys

from loopdiag.cli import main

sys.exit(main())
