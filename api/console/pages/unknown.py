"""Every other address under /console: a page that says so. Its route comes last."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from api.console.routing import new_pages
from api.security import ACCESS
from domain.errors import Forbidden, NotFound

router = new_pages()
_FORMS = tuple(compile_path(path)[0] for method, path in ACCESS if method == "POST" and path.startswith("/console/"))


@router.get("/console/{rest:path}")
async def unknown(request: Request, rest: str) -> Response:
    """Nothing is here, or something that only a form may do."""
    if any(form.match(request.url.path) for form in _FORMS):
        raise Forbidden("This address does nothing by itself; use the form on its page")
    raise NotFound("There is no page at this address")
