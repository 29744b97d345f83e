"""Push: news to browsers and apps as it happens, by SignalR's JSON protocol.

Belongs here: the protocol, connections, and where news come from. Hot values say that they are provisional.
"""
