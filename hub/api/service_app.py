"""The hub's HTTP application: every REST interface on one host.

Belongs here: putting the routes together. Two services have `/digitaltwins`, and are told apart by the version that
the client names.
"""

from starlette.applications import Starlette

from hub.api.calls import PROVISIONING, Endpoints
from hub.api.enrolment_routes import enrolment_routes
from hub.api.identity_routes import identity_routes
from hub.api.query_routes import query_routes
from hub.api.twin_routes import twin_routes
from hub.methods import MethodInvoker
from hub.registry.hub_registry import Registry


def build_app(registry: Registry, invoker: MethodInvoker) -> Starlette:
    """The application; methods are called through `invoker`."""
    hub = Endpoints(registry, invoker)
    provisioning = Endpoints(registry, invoker, PROVISIONING)
    routes = [*query_routes(hub), *identity_routes(hub), *twin_routes(hub), *enrolment_routes(provisioning)]
    return Starlette(routes=routes)
