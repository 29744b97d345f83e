"""The hub's HTTP application: every REST interface on one host.

Belongs here: putting the routes together.
"""

from pathlib import Path

from starlette.applications import Starlette

from hub.access.quotas import UNLIMITED, Quotas
from hub.api.calls import GRAPH, PROVISIONING, Endpoints
from hub.api.configuration_routes import configuration_routes
from hub.api.enrolment_routes import enrolment_routes
from hub.api.graph_routes import graph_routes
from hub.api.identity_routes import identity_routes
from hub.api.job_routes import job_routes
from hub.api.model_routes import model_routes
from hub.api.pnp_routes import digital_twin_routes
from hub.api.query_routes import query_routes
from hub.api.twin_routes import twin_routes
from hub.api.upload_routes import upload_routes
from hub.methods import MethodInvoker
from hub.registry.hub_registry import Registry


def build_app(registry: Registry, invoker: MethodInvoker, files: Path, quotas: Quotas = UNLIMITED) -> Starlette:
    """The application; methods are called through `invoker`, uploads lie below `files`, `quotas` limit each tenant."""
    hub, graph = Endpoints(registry, invoker, quotas=quotas), Endpoints(registry, invoker, GRAPH, quotas)
    provisioning = Endpoints(registry, invoker, PROVISIONING, quotas)
    routes = [
        *upload_routes(registry, files, quotas),
        *query_routes(hub),
        *configuration_routes(hub),
        *identity_routes(hub),
        *twin_routes(hub),
        *job_routes(hub),
        *enrolment_routes(provisioning),
        *digital_twin_routes(hub, graph),
        *graph_routes(graph),
        *model_routes(graph),
    ]
    return Starlette(routes=routes)
