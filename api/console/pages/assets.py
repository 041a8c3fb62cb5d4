"""The style sheets and scripts, from inside the package; every address names its content and may be kept for ever."""

from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from api.console.routing import new_pages
from api.console.templating import asset
from domain.errors import NotFound

router = new_pages()
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@router.get("/console/static/{name}")
async def static(request: Request, name: Annotated[str, Path(max_length=60)]) -> Response:
    """One file."""
    content, kind = asset(name), _TYPES.get(name.rpartition(".")[2])
    if content is None or kind is None:
        raise NotFound("There is no such file")
    response = Response(content, media_type=kind)
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return response
