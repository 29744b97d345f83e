"""`python -m streams`: the hot path of this home until it is told to end.

Belongs here: the process. What it does is in `loop`.
"""

import sys

from runtime.errors import LakehouseError, PlatformError
from runtime.kafka.broker import running_broker
from runtime.settings import load_settings
from runtime.signals import asked_to_stop
from streams.declarations import load_declarations
from streams.loop import LoopOptions, run_loop


def main() -> int:
    """Run until a signal; 0 then, 1 when it cannot run."""
    try:
        settings = load_settings()
        declared = load_declarations(settings)
        with asked_to_stop() as stop, running_broker(settings) as bootstrap:
            run_loop(settings, bootstrap, declared, LoopOptions(), stop, _tell)
    except (LakehouseError, PlatformError) as error:
        _tell(str(error))
        return 1
    return 0


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
