"""The listener: one TLS port for MQTT, AMQP and HTTPS with websockets, told apart by their first bytes.

Belongs here: accepting, limits before anybody is known, handing a connection to who speaks its protocol. Those belong
in `mqtt_session`, `amqp_session` and `hub.api`.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hub.amqp.amqp_session import AmqpSession
from hub.links.key_material import Contexts
from hub.links.link import Link, Session
from hub.links.tls_connection import TlsConnection
from hub.links.websocket_link import PATHS, serve_websocket
from hub.mqtt.mqtt_session import MqttSession
from hub.sessions.hub_parts import HubParts
from runtime.errors import PlatformError

AsgiApp = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken before anybody is known: connections in all, of one address, and seconds to become somebody."""

    connections: int = 50_000
    connections_an_address: int = 30_000
    handshake_s: float = 15.0
    backlog: int = 2048


class SessionProtocol(asyncio.Protocol):
    """Between a TLS connection and a session."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._session.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes any more."""
        self._session.connection_lost()


class FirstBytes(asyncio.Protocol):
    """Waits for the first bytes within TLS, and hands the connection to who speaks their protocol."""

    __slots__ = ("_connection", "_listener", "_seen")

    def __init__(self, listener: "Listener", connection: "AcceptedConnection") -> None:
        self._listener, self._connection, self._seen = listener, connection, b""

    def data_received(self, data: bytes) -> None:
        """The first bytes, or more of them: AMQP is known by four."""
        self._seen += data
        if self._seen[0] != 0x10 and len(self._seen) < 4 and b"AMQP".startswith(self._seen):
            return
        protocol = self._listener.protocol_for(self._connection, self._seen)
        self._connection.set_protocol(protocol)
        protocol.connection_made(cast(asyncio.Transport, self._connection))
        protocol.data_received(self._seen)


class Requests(HttpToolsProtocol):
    """HTTP on a connection: each request's head, not the first alone, has to come within the handshake's time."""

    def __init__(self, config: Config, state: ServerState, connection: "AcceptedConnection") -> None:
        super().__init__(config, state, {"connection": connection})
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        """Bytes have come: of a head, unless a request is being answered."""
        if self.cycle is None or self.cycle.response_complete:
            self._connection.has_to_speak()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._connection.is_somebody()
        super().on_headers_complete()


class Listener:
    """Accepts connections; `app` is the HTTP side."""

    def __init__(self, parts: HubParts, contexts: Contexts, app: AsgiApp, limits: Limits = Limits()) -> None:
        self._parts, self._contexts, self._app, self._limits = parts, contexts, app, limits
        self._servers: list[asyncio.Server] = []
        self._of_address: Counter[str] = Counter()
        self._open = 0
        self._state = ServerState()
        self._config = Config(
            app=cast(Any, self._answer),
            interface="asgi3",
            http="httptools",
            ws="websockets-sansio",
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            ws_max_size=1024 * 1024,
        )
        self._config.load()

    async def listen(self, host: str, ports: list[int], *, is_shared: bool = False) -> None:
        """Begin to accept. Raises PlatformError when a port cannot be had."""
        loop = asyncio.get_running_loop()
        for port in ports:
            try:
                server = await loop.create_server(
                    lambda: AcceptedConnection(self), host, port, backlog=self._limits.backlog, reuse_port=is_shared
                )
            except OSError as error:
                raise PlatformError(
                    f"The hub cannot listen on port {port} ({error}): give another one by LAKEHOUSE_HUB_PORT."
                ) from error
            self._servers.append(server)

    async def close(self) -> None:
        """Accept nothing more."""
        for server in self._servers:
            server.close()

    def enter(self, address: str) -> bool:
        """A connection was accepted; False when there are too many."""
        if self._open >= self._limits.connections or self._of_address[address] >= self._limits.connections_an_address:
            self._parts.counts.turned_away += 1
            return False
        self._open += 1
        self._of_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """An accepted connection is gone."""
        self._open -= 1
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]

    @property
    def contexts(self) -> Contexts:
        """The server's certificates."""
        return self._contexts

    @property
    def handshake_s(self) -> float:
        """Within which TLS has to be done and the first bytes to have come, of HTTP a whole request's head."""
        return self._limits.handshake_s

    def protocol_for(self, connection: "AcceptedConnection", first: bytes) -> asyncio.Protocol:
        """Who speaks what begins with these bytes; sessions see to their own time."""
        if first[0] == 0x10:
            connection.is_somebody()
            return SessionProtocol(MqttSession(self._parts, connection))
        if first.startswith(b"AMQP"):
            connection.is_somebody()
            return SessionProtocol(AmqpSession(self._parts, connection))
        return Requests(self._config, self._state, connection)

    async def _answer(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and scope["path"] in PATHS:
            await serve_websocket(scope, receive, send, self._websocket_session, scope["state"]["connection"])
        else:
            await self._app(scope, receive, send)

    def _websocket_session(self, link: Link, subprotocol: str) -> Session | None:
        return MqttSession(self._parts, link) if subprotocol == "mqtt" else AmqpSession(self._parts, link)


class AcceptedConnection(TlsConnection):
    """A TLS connection of the listener: counted, and cut when it does not become somebody in time."""

    __slots__ = ("_address", "_listener", "_timer")

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener.contexts.current, self._chosen)
        self._listener = listener
        self._address: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    def _chosen(self, _: TlsConnection) -> asyncio.Protocol:
        return FirstBytes(self._listener, self)

    def is_somebody(self) -> None:
        """It speaks a protocol: the time for that is over no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def has_to_speak(self) -> None:
        """Something begins that has to be whole in time; one whose time runs has no more of it."""
        if self._timer is None and not self.is_closing():
            self._timer = asyncio.get_running_loop().call_later(self._listener.handshake_s, self.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected."""
        super().connection_made(transport)
        address = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._listener.enter(address):
            self.abort()
            return
        self._address = address
        _end_dead_peers(transport)
        self.has_to_speak()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._address is not None:
            self._listener.leave(self._address)
        super().connection_lost(exc)


def _end_dead_peers(transport: asyncio.BaseTransport) -> None:
    """A peer whose machine acknowledges nothing for 30 s is gone: what was acknowledged to it is known to that time."""
    found = transport.get_extra_info("socket")
    if found is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
