"""A real S3 server on loopback for tests: s3proxy, which checks signatures and honours conditional writes.

Belongs here: starting and stopping it, and what S3 does beyond it. What is tested against it belongs in the tests.
"""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

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


@contextmanager
def encoding_paths_anew(endpoint: str) -> Iterator[str]:
    """Where files of the server at `endpoint` are read as S3 takes paths: whatever a client wrote, the canonical form
    is what was signed.

    s3proxy checks a path as it came, so one that came with `=` for `%3D` has another signature.
    """
    behind = urlsplit(endpoint).netloc

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, mark, query = self.path.partition("?")
            connection = http.client.HTTPConnection(behind, timeout=120)
            connection.putrequest(self.command, quote(unquote(path)) + mark + query, True, True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("date", "server", "transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            said = answer.headers["Content-Length"] if self.command == "HEAD" else None
            self.send_header("Content-Length", said or str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            connection.close()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as relay:
        thread = threading.Thread(target=relay.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{relay.server_port}"
        finally:
            relay.shutdown()
            thread.join()
