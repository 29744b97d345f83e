"""`python -m serving PORT`: the API and sharing of this home where the settings say.

Belongs here: the process. The application is `serving_app`.
"""

import sys

import uvicorn

from runtime.settings import load_settings
from serving.access.listening import listening
from serving.serving_app import build_app


def main() -> None:
    """Serve until a signal."""
    settings = load_settings()
    app, port = build_app(settings), int(sys.argv[1])
    # a log of requests is put together for each of them, even where its level has nobody see it
    uvicorn.run(app, port=port, log_level="warning", access_log=False, **listening(settings))


if __name__ == "__main__":
    main()
