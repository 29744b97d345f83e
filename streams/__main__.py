"""`python -m streams [spark | actions | I N]`: the hot path, or what is done about its alarms, until told to end.

With I and N the hot path is shared among N processes, of which this is the one with number I, from 0; 0 starts the
others. With `spark` it is a query of Structured Streaming.

Belongs here: the processes. What they do is in `loop` and in `dispatcher`.
"""

import sys
from contextlib import nullcontext

from runtime.errors import LakehouseError, PlatformError
from runtime.kafka.broker import running_broker
from runtime.settings import load_settings
from runtime.siblings import Siblings, siblings
from runtime.signals import asked_to_stop
from streams.declarations import check_shared, load_declarations


def main(arguments: list[str]) -> int:
    """Run until a signal; 0 then, 1 when it cannot run."""
    try:
        settings = load_settings()
        declared = load_declarations(settings)
        with asked_to_stop() as stop, running_broker(settings) as bootstrap:
            if arguments == ["actions"]:
                from streams.dispatcher import DispatchOptions, run_actions

                run_actions(settings, bootstrap, declared.actions, DispatchOptions(), stop, _tell)
            elif arguments == ["spark"]:
                from streams.spark_job import run_on_spark

                run_on_spark(settings, bootstrap, declared, stop, _tell)
            else:
                from streams.loop import LoopOptions, run_loop

                instance, instances = map(int, arguments or (0, 1))
                check_shared(declared, instances)
                others = [["-m", "streams", str(each), str(instances)] for each in range(1, instances)]
                with nullcontext(Siblings()) if instance else siblings(others) as beside:
                    run_loop(settings, bootstrap, declared, LoopOptions(instance, instances), stop, _tell)
                if beside.ended:
                    raise PlatformError(f"Process {beside.ended[0]} of the hot path has ended, so it ends as a whole.")
    except (LakehouseError, PlatformError) as error:
        _tell(str(error))
        return 1
    return 0


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
