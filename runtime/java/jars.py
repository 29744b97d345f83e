"""Jars: the Java libraries that are no Python packages, resolved once with the Ivy that PySpark brings.

Belongs here: which jars each part needs and how they come into the virtual environment. Running them belongs in
`spark` and `runtime.kafka.broker`.
"""

import json
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

from runtime.errors import PlatformError
from runtime.java.jvm import find_java, share_folder, share_lock

Kind = Literal["spark", "kafka", "s3", "s3proxy"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Artifact:
    """One dependency in Maven's terms; `transitive` brings what it depends on as well."""

    org: str
    name: str
    revision: str
    transitive: bool = False
    classifier: str | None = None


@dataclass(frozen=True)
class _Kind:
    artifacts: tuple[Artifact, ...]
    exclude: tuple[tuple[str, str], ...] = ()  # (organisation, module), "*" for all


# what Ivy prints of a module whose description it has read, and of a jar that it has fetched
_FOUND = re.compile(r"\bfound [^#]+#(\S+) in ")
_FETCHED = re.compile(r"\[SUCCESSFUL \] [^!]+!(\S+)")

MARKER = "resolved.json"
# what Java says when it does not know who signed a server's certificate
_DISTRUST = "PKIX path building failed"
_PASSWORD = "changeit"
_SCALA = "2.13"
_SDK = "software.amazon.awssdk"
_SDK_VERSION = "2.35.4"


def wanted(kind: Kind) -> _Kind:
    """The declared jars of a kind; Spark's and Delta's versions follow from the installed packages."""
    spark = version("pyspark")
    delta = version("delta-spark")
    spark_line = ".".join(spark.split(".")[:2])
    kinds: dict[Kind, _Kind] = {
        # one by one: nearly all that these depend on is in PySpark already, in the version that it was tested with
        "spark": _Kind(
            (
                Artifact("io.delta", f"delta-spark_{spark_line}_{_SCALA}", delta),
                Artifact("io.delta", "delta-storage", delta),
                Artifact("io.delta", "delta-kernel-api", delta),
                Artifact("io.delta", "delta-kernel-defaults", delta),
                Artifact("io.delta", "delta-kernel-unitycatalog", delta),
                Artifact("org.apache.spark", f"spark-sql-kafka-0-10_{_SCALA}", spark),
                Artifact("org.apache.spark", f"spark-token-provider-kafka-0-10_{_SCALA}", spark),
                Artifact("org.apache.kafka", "kafka-clients", "3.9.2"),
                Artifact("org.apache.commons", "commons-pool2", "2.13.1"),
                # Hadoop's own local files fork a chmod for each file and folder
                Artifact("com.globalmentor", "hadoop-bare-naked-local-fs", "0.1.0"),
            )
        ),
        "kafka": _Kind(
            (
                Artifact("org.apache.kafka", f"kafka_{_SCALA}", "4.4.0", transitive=True),
                Artifact(
                    "org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"
                ),  # without it the broker logs nothing
            )
        ),
        # hadoop-aws alone would bring the 686 MB bundle of every AWS client
        "s3": _Kind(
            (
                Artifact("org.apache.hadoop", "hadoop-aws", "3.5.0"),
                Artifact(
                    "software.amazon.s3.analyticsaccelerator", "analyticsaccelerator-s3", "1.3.1", transitive=True
                ),
                Artifact(_SDK, "s3", _SDK_VERSION, transitive=True),
                Artifact(_SDK, "s3-transfer-manager", _SDK_VERSION, transitive=True),
            ),
            exclude=((_SDK, "netty-nio-client"), ("org.slf4j", "*"), ("commons-logging", "*"), ("commons-codec", "*")),
        ),
        "s3proxy": _Kind((Artifact("org.gaul", "s3proxy", "4.1.0", classifier="jar-with-dependencies"),)),
    }
    return kinds[kind]


def _to_stderr(line: str) -> None:
    # standard output may be a command's result, such as JSON
    print(line, file=sys.stderr, flush=True)


def jar_folder(kind: Kind) -> Path:
    """Where the jars of a kind lie once `ensure` has run."""
    return share_folder() / "jars" / kind


def is_complete(kind: Kind) -> bool:
    """True when the jars of a kind are there in the versions now wanted."""
    marker = jar_folder(kind) / MARKER
    return marker.is_file() and marker.read_text() == fingerprint(kind)


def ensure(kind: Kind, progress: Callable[[str], None] = _to_stderr) -> Path:
    """Resolve the jars of a kind unless they are there; returns their folder.

    `progress` gets a line for each jar that is fetched. Raises PlatformError without a network or disk space.
    """
    if is_complete(kind):
        return jar_folder(kind)
    with share_lock("jars"):
        if not is_complete(kind):
            _resolve(kind, progress)
    return jar_folder(kind)


def fingerprint(kind: Kind) -> str:
    """What the marker of a resolved folder holds: what was declared when it was resolved."""
    declared = wanted(kind)
    rows = [[a.org, a.name, a.revision, a.transitive, a.classifier] for a in declared.artifacts]
    return json.dumps({"artifacts": rows, "exclude": declared.exclude}, indent=1)


def _resolve(kind: Kind, progress: Callable[[str], None]) -> None:
    progress(f"Fetching the jars for {kind} (once) ...")
    target = jar_folder(kind)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{kind}-") as scratch_name:
        scratch = Path(scratch_name)
        (scratch / "settings.xml").write_text(_settings_xml())
        (scratch / "ivy.xml").write_text(_ivy_xml(wanted(kind)))
        _run_ivy(kind, scratch, progress)
        jars = scratch / "jars"
        (jars / MARKER).write_text(fingerprint(kind))
        # removed first since a rename does not replace a folder; a crash between the two only means resolving again
        shutil.rmtree(target, ignore_errors=True)
        jars.rename(target)
    progress(f"{len(list(target.glob('*.jar')))} jars for {kind} are in place.")


def _run_ivy(kind: Kind, scratch: Path, progress: Callable[[str], None]) -> None:
    import pyspark  # see write_truststore

    ivy_jar = next((Path(pyspark.__path__[0]) / "jars").glob("ivy-*.jar"))
    arguments = [
        "-jar", str(ivy_jar), "-settings", str(scratch / "settings.xml"), "-ivy", str(scratch / "ivy.xml"),
        "-retrieve", str(scratch / "jars" / "[artifact]-[revision](-[classifier]).[ext]"),
    ]  # fmt: skip
    is_done, output = _run_java(arguments, progress)
    if not is_done and _DISTRUST in "".join(output):
        trusted = write_truststore(scratch / "trusted.p12")
        is_done, output = _run_java([*trusted, *arguments], progress)
    if is_done and any((scratch / "jars").glob("*.jar")):
        return
    log = share_folder() / f"ivy-{kind}.log"
    log.write_text("\n".join(output))
    raise PlatformError(explain(kind, output, log))


def _run_java(arguments: list[str], progress: Callable[[str], None]) -> tuple[bool, list[str]]:
    """Whether it ended well, and the lines that it printed."""
    output: list[str] = []
    command = [str(find_java()), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as ivy:
        assert ivy.stdout is not None
        for line in ivy.stdout:
            output.append(line.strip())
            if match := _FOUND.search(line) or _FETCHED.search(line):
                progress(f"  {match.group(1)}")
    return ivy.returncode == 0, output


def write_truststore(path: Path) -> list[str]:
    """Write what this machine trusts as a Java trust store; returns the JVM's options that name it.

    A JVM has certificates of its own and does not know those of a company's proxy, which Python takes from the system
    or from SSL_CERT_FILE.
    """
    # here, since only who fetches needs it, and whoever uses the broker imports this module
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore

    trusted = ssl.create_default_context().get_ca_certs(binary_form=True)
    certificates = [
        PKCS12Certificate(x509.load_der_x509_certificate(der), f"trusted-{number}".encode())
        for number, der in enumerate(trusted)
    ]
    # Java reads no trust store without a password; these certificates are public
    path.write_bytes(serialize_java_truststore(certificates, BestAvailableEncryption(_PASSWORD.encode())))
    return [f"-Djavax.net.ssl.trustStore={path}", f"-Djavax.net.ssl.trustStorePassword={_PASSWORD}"]


def explain(kind: Kind, output: list[str], log: Path) -> str:
    """Why Ivy failed, as one sentence, from what it printed."""
    text = "\n".join(output)
    if "No space left" in text:
        return f"The jars for {kind} do not fit on the disk of {share_folder()}: free some space and run this again."
    if _DISTRUST in text:
        return (
            f"The jars for {kind} could not be fetched, Maven Central's certificate is signed by an unknown authority: "
            f"name your network's certificates in SSL_CERT_FILE (a PEM file) and run this again. Details: {log}"
        )
    if any(word in text for word in ("UnknownHost", "Connection refused", "timed out", "Host ", "SSLHandshake")):
        return (
            f"The jars for {kind} could not be fetched, Maven Central cannot be reached from here: check the network "
            f"(for a proxy, JAVA_TOOL_OPTIONS) and run this again. Details: {log}"
        )
    return f"The jars for {kind} could not be resolved: see {log}, then run this again."


def _settings_xml() -> str:
    cache = share_folder() / "ivy"
    # the resolver's built-in root is Maven Central
    return (
        '<ivysettings><settings defaultResolver="central"/>'
        f'<caches defaultCacheDir="{cache}"/>'
        '<resolvers><ibiblio name="central" m2compatible="true"/></resolvers></ivysettings>'
    )


def _ivy_xml(kind: _Kind) -> str:
    lines = [
        '<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">',
        '<info organisation="lakehouse" module="jars"/>',
        '<configurations><conf name="default"/></configurations><dependencies>',
    ]
    for artifact in kind.artifacts:
        conf = "default->master,runtime" if artifact.transitive else "default->master"
        lines.append(
            f'<dependency org="{artifact.org}" name="{artifact.name}" rev="{artifact.revision}" '
            f'transitive="{str(artifact.transitive).lower()}" conf="{conf}">'
        )
        if artifact.classifier:
            lines.append(
                f'<artifact name="{artifact.name}" type="jar" ext="jar" m:classifier="{artifact.classifier}"/>'
            )
        lines.append("</dependency>")
    lines += [f'<exclude org="{org}" module="{module}"/>' for org, module in kind.exclude]
    lines.append("</dependencies></ivy-module>")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """`python -m runtime.java.jars KIND …`: what the set-up runs."""
    try:
        for kind in KINDS:
            if kind in arguments:
                ensure(kind)
    except PlatformError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
