"""Ports on loopback."""

from runtime.ports import free_port, is_port_open


def test_free_port_is_free_and_below_the_ports_of_connections() -> None:
    """A port that is handed out takes no connection yet."""
    port = free_port()
    assert 20000 <= port < 30000
    assert not is_port_open("127.0.0.1", port)
