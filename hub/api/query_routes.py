"""Route of queries over twins.

Belongs here: `/devices/query` and its headers.
"""

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.api.calls import Call, Endpoints, whole_number
from hub.hub_errors import HubCode, HubError
from hub.registry.tenants import SERVICE
from hub.twins.twin_query import DEFAULT_PAGE, run_query


def query_routes(endpoints: Endpoints) -> list[Route]:
    """The route."""
    return [Route("/devices/query", endpoints(query_page, SERVICE, "queries"), methods=["POST"])]


def query_page(call: Call) -> Response:
    """A page of the query that the body asks."""
    text = call.document.get("query")
    if not isinstance(text, str):
        raise HubError(HubCode.ArgumentInvalid, "The body has no query.")
    size = page_size(call)
    after = call.request.headers.get("x-ms-continuation")
    page = call.read(lambda tx: run_query(tx, call.tenant, text, size, after))
    headers = {"x-ms-item-type": page.kind}
    if page.more:
        headers["x-ms-continuation"] = page.more
    return JSONResponse(page.items, headers=headers)


def page_size(call: Call) -> int:
    """How many items the client wants at once. Raises HubError for what is no number."""
    given = call.request.headers.get("x-ms-max-item-count") or str(DEFAULT_PAGE)
    size = whole_number(given)
    if not size:
        raise HubError(HubCode.ArgumentInvalid, f"x-ms-max-item-count is {given!r:.50}.")
    return size
