"""Home: what needs people now, what is stuck, what flows."""

from starlette.requests import Request
from starlette.responses import Response

from api.console.overview import overview
from api.console.routing import new_pages
from api.console.visits import visit_of

router = new_pages()


@router.get("/console")
async def home(request: Request) -> Response:
    """The state of the shop on one screen."""
    visit = visit_of(request)
    return await visit.page("home.html", **await overview(visit))
