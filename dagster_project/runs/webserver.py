"""The webserver: Dagster's UI behind our guard.

Belongs here: what `dagster-webserver` does to begin, with the guard around its application. Who may ask is for
`ui_guard`.
"""

import sys

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._utils.log import configure_loggers
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from dagster_project.ui_guard import KEY, Guard
from runtime.private_files import home_key
from runtime.settings import load_settings

_POLL_MS = 2000
_STATEMENT_MS, _RECYCLE_S, _MAX_OVERFLOW = 15_000, -1, 20


def serve(port: int, workspace: str) -> None:
    """Serve at a port of loopback until the process is ended."""
    configure_loggers()
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(_STATEMENT_MS, _RECYCLE_S, _MAX_OVERFLOW)
        target = WorkspaceFileTarget(paths=[workspace])
        with WorkspaceProcessContext(instance, target, version=__version__) as context:
            app = create_app_from_workspace_process_context(context, "", _POLL_MS)
            guard = Guard(app, home_key(load_settings(), KEY))
            # what stands before the name of a proxy is not believed, since there is none
            uvicorn.run(guard, host="127.0.0.1", port=port, log_level="warning", proxy_headers=False)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
