"""`python -m lakehouse.cli`: the command where nothing is installed on the PATH."""

import sys

from lakehouse.cli.main import main

sys.exit(main())
