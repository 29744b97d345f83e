"""`python -m bench [NAME …] [--quick] [--keep]`: run benches, print their medians, compare with what is kept.

Belongs here: choosing and running. `make bench` runs all of them, `make bench QUICK=1` all of them small.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from bench.harness import machine, path_of, result_of, slower, store
from bench.memory import LIMIT_MB, peak_memory

BENCHES = {
    "start": "start",
    "simulate": "send",
    "tick": "tick",
    "ingest": "ingest",
    "gold": "gold",
    "gold-kinds": "gold_kinds",
    "backfill": "backfill",
    "history": "history",
    "query": "query",
    "freshness": "freshness",
    "cluster": "cluster",
    "driver": "driver",
    "hub": "hub",
    "streams": "streams",
    "serving": "serving",
}


def main(arguments: Sequence[str]) -> int:
    """Run the benches that are named, all without a name."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHES)}; by default all")
    parser.add_argument("--quick", action="store_true", help="all of it small")
    parser.add_argument("--keep", action="store_true", help="let the results stand in for those that are kept")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.names) - set(BENCHES))
    if unknown:
        parser.error(f"there is no bench {unknown[0]}; there are {', '.join(BENCHES)}")
    complaints: list[str] = []
    for name in chosen.names or BENCHES:
        began = time.monotonic()
        print(f"{name} …", flush=True)
        with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder, peak_memory() as peak:
            results = import_module(f"bench.{BENCHES[name]}").run(Path(folder), chosen.quick)
        for result in results:
            print("\n".join(result.lines()), flush=True)
            kept = path_of(result.bench, chosen.quick)
            if kept.exists():
                stored = json.loads(kept.read_text())
                # seconds of another machine say nothing
                if not result.is_alone or machine().items() <= stored.items():
                    complaints += slower(result, result_of(stored))
            if chosen.keep or not kept.exists():
                store(result, chosen.quick, peak.mb)
        print(f"{name} took {time.monotonic() - began:.0f} s, and {peak.mb:,} MB at most", flush=True)
        if peak.mb > LIMIT_MB:
            complaints.append(f"{name} took {peak.mb:,} MB, more than {LIMIT_MB:,}.")
    print("\n".join(complaints), file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
