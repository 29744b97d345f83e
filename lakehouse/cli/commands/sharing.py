"""`lakehouse sharing`: what a client of Delta Sharing needs.

Belongs here: arguments and what is printed. The server is `serving.sharing`.
"""

import json

import click


@click.group()
def sharing() -> None:
    """Share published gold with other engines, by the Delta Sharing protocol.

    \b
    Example:
      lakehouse sharing profile --key lh_… > partner.share
    """


@sharing.command("profile")
@click.option("--key", required=True, help="A key with the scope share (see `lakehouse keys create`).")
@click.option("--endpoint", help="The server's address [default: the one that `up --serve` runs].")
def profile(key: str, endpoint: str | None) -> None:
    """Print the profile file that clients of Delta Sharing read.

    \b
    Examples:
      lakehouse sharing profile --key lh_… > partner.share
      python -c "import delta_sharing as d; print(d.load_as_pandas('partner.share#lakehouse.gold.device_hours'))"
    """
    from runtime import processes
    from runtime.errors import PlatformError
    from runtime.settings import load_settings
    from serving.programs import SERVING

    if endpoint is None:
        record = processes.find(load_settings(), SERVING)
        if record is None:
            raise PlatformError("Nothing is served: run `lakehouse up --serve`, or give --endpoint.")
        endpoint = f"{record.address}/sharing"
    click.echo(json.dumps({"shareCredentialsVersion": 1, "endpoint": endpoint, "bearerToken": key}, indent=2))
