"""`python -m bench [NAME …] [--quick]`: run benches, print their medians, keep their results.

Belongs here: choosing and running. `make bench` runs all of them, `make bench QUICK=1` all of them small.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from bench.harness import store

BENCHES = {
    "start": "start",
    "simulate": "send",
    "tick": "tick",
    "ingest": "ingest",
    "gold": "gold",
    "backfill": "backfill",
    "query": "query",
    "freshness": "freshness",
}


def main(arguments: Sequence[str]) -> int:
    """Run the benches that are named, all without a name."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHES)}; by default all")
    parser.add_argument("--quick", action="store_true", help="all of it small")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.names) - set(BENCHES))
    if unknown:
        parser.error(f"there is no bench {unknown[0]}; there are {', '.join(BENCHES)}")
    for name in chosen.names or BENCHES:
        print(f"{name} …", flush=True)
        with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder:
            results = import_module(f"bench.{BENCHES[name]}").run(Path(folder), chosen.quick)
        for result in results:
            print("\n".join(result.lines()), flush=True)
            store(result, chosen.quick)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
