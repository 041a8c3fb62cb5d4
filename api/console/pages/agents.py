"""Agents: who works here, in which place of the workflow, and the picture of it."""

from datetime import timedelta

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from api.console.overview import agent_figures
from api.console.routing import new_pages
from api.console.visits import visit_of
from graph.topology.diagram import to_svg

router = new_pages()


@router.get("/console/agents")
async def agents(request: Request) -> Response:
    """The registry beside the workflow in force."""
    visit = visit_of(request)
    box = visit.console.box
    listed = await visit.console.desk.agents()
    figures = await agent_figures(visit, since=visit.console.now() - timedelta(hours=24))
    return await visit.page(
        "agents.html",
        active=sorted((one for one in listed if one["active"]), key=lambda one: one["tier"]),
        others=[one for one in listed if not one["active"]],
        figures={one["name"]: one for one in figures},
        workflow=box.workflow,
        version=box.threads.current,
        diagram=Markup(to_svg(box.workflow, styled=False)),  # noqa: S704  # Drawing escapes every text
    )
