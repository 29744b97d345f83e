"""`python -m lakehouse.cli`: the command where nothing is installed on the PATH."""

from lakehouse.cli.main import main

main()
