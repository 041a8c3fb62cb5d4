"""What a person may ask of whoever keeps their data: to be erased."""

from typing import Annotated

import orjson
from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.routing import new_router
from api.security import caller_of

router = new_router("customers")


@router.delete("/v1/customers/{customer_id}", summary="Erase a person")
async def erase(
    request: Request,
    customer_id: Annotated[str, Path(max_length=500, examples=["C-1042"])],
    reason: Annotated[str, Query(min_length=1, max_length=2000, examples=["asked on 12 November"])],
    dry_run: Annotated[bool, Query(description="Say what would go; change nothing")] = False,
) -> Response:
    """Remove the person everywhere; decisions and a checkable audit stay. Repeating it goes on or finds nothing."""
    caller = caller_of(request)
    report = await context_of(request).desk.erase_customer(
        caller.tenant.tenant, customer_id, actor=caller.actor, reason=reason, dry_run=dry_run
    )
    return Response(orjson.dumps(report), media_type="application/json")
