"""A real S3 server on loopback for tests: s3proxy, which checks signatures and honours conditional writes.

Belongs here: starting and stopping it. What is tested against it belongs in the tests.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import s3fs

from lake.storage.locations import s3fs_options
from runtime import processes
from runtime.java.jars import ensure
from runtime.java.jvm import find_java
from runtime.ports import free_port, is_port_open
from runtime.settings import Settings

NAME = "s3proxy"
ACCESS_KEY = "test-key"
SECRET_KEY = "test-secret"


@dataclass(frozen=True)
class S3Server:
    """Where the server listens and the keys that it accepts."""

    endpoint: str
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY

    def settings(self, home: Path, bucket: str, prefix: str = "lake") -> Settings:
        """Settings of a lakehouse whose lake lies in `bucket`, which is made if it is not there."""
        settings = Settings(
            home=home,
            lake_uri=f"s3://{bucket}/{prefix}",
            spark="local[2]",
            aws_endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )
        fs = s3fs.S3FileSystem(**s3fs_options(settings))
        # s3fs takes a bucket that this server does not have for an existing one, so its mkdir refuses to make any
        if bucket not in fs.ls("", refresh=True):
            fs.call_s3("create_bucket", Bucket=bucket)
        return settings

    def with_wrong_secret(self, settings: Settings) -> Settings:
        """The same lakehouse with a secret that the server refuses."""
        return replace(settings, aws_secret_access_key="wrong")


@contextmanager
def running_s3_server(folder: Path) -> Iterator[S3Server]:
    """Start the server on a free port with its objects in `folder`; stop it at the end of the block."""
    jar = next(ensure("s3proxy").glob("*.jar"))
    objects = folder / "objects"
    objects.mkdir(parents=True)
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    configuration = folder / "s3proxy.properties"
    configuration.write_text(
        f"s3proxy.endpoint={endpoint}\n"
        "s3proxy.authorization=aws-v2-or-v4\n"
        f"s3proxy.identity={ACCESS_KEY}\n"
        f"s3proxy.credential={SECRET_KEY}\n"
        "jclouds.provider=filesystem-nio2\n"
        f"jclouds.filesystem.basedir={objects}\n"
    )
    owner = Settings(home=folder, lake_uri=str(folder))
    command = [str(find_java()), "-Xmx256m", "-jar", str(jar), "--properties", str(configuration)]
    record = processes.spawn(owner, NAME, command, endpoint)
    try:
        processes.wait_until_ready(owner, record, lambda: is_port_open("127.0.0.1", port), 180)
        yield S3Server(endpoint)
    finally:
        processes.stop(owner, NAME)
