"""`python -m streams [actions]`: the hot path of this home, or what is done about its alarms, until told to end.

Belongs here: the processes. What they do is in `loop` and in `dispatcher`.
"""

import sys

from runtime.errors import LakehouseError, PlatformError
from runtime.kafka.broker import running_broker
from runtime.settings import load_settings
from runtime.signals import asked_to_stop
from streams.declarations import load_declarations


def main(arguments: list[str]) -> int:
    """Run until a signal; 0 then, 1 when it cannot run."""
    try:
        settings = load_settings()
        declared = load_declarations(settings)
        with asked_to_stop() as stop, running_broker(settings) as bootstrap:
            if arguments == ["actions"]:
                from streams.dispatcher import DispatchOptions, run_actions

                run_actions(settings, bootstrap, declared.actions, DispatchOptions(), stop, _tell)
            else:
                from streams.loop import LoopOptions, run_loop

                run_loop(settings, bootstrap, declared, LoopOptions(), stop, _tell)
    except (LakehouseError, PlatformError) as error:
        _tell(str(error))
        return 1
    return 0


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
