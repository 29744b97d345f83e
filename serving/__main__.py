"""`python -m serving PORT`: the API and sharing of this home on loopback.

Belongs here: the process. The application is `serving_app`.
"""

import sys

import uvicorn

from runtime.settings import load_settings
from serving.serving_app import build_app


def main() -> None:
    """Serve until a signal."""
    uvicorn.run(build_app(load_settings()), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
