"""The page behind every problem's ``type``: what the code means and what to do about it."""

from typing import Annotated

import orjson
from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from api.problems import meaning_of
from api.routing import new_router

router = new_router("problems")


@router.get("/problems/{code}", summary="What a problem code means")
async def problem_type(
    request: Request, code: Annotated[str, Path(max_length=100, examples=["refused.not_found"])]
) -> Response:
    """The code's status and meaning, the same for every occurrence."""
    return Response(orjson.dumps(meaning_of(code)), media_type="application/json")
