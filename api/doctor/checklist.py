"""The whole checklist of one tenant, in one go."""

from api.doctor.backends import backends
from api.doctor.findings import Finding, State
from api.doctor.governance import governance
from api.doctor.installation import installation
from api.services import Json
from api.tenants import Tenant
from graph.bootstrap.system import Signalbox


async def examined(box: Signalbox, tenant: Tenant) -> list[Finding]:
    """Every line, area by area."""
    return [*await backends(box, tenant.tenant), *await installation(box), *await governance(box, tenant)]


def report(findings: list[Finding], *, strict: bool) -> Json:
    """The lines as data; ``ready`` when none is missing, warnings counting as missing where ``strict``."""
    lines = [one.strictly if strict else one for one in findings]
    counts = {state.value: sum(one.state is state for one in lines) for state in State}
    return {
        "ready": counts[State.MISSING] == 0,
        "strict": strict,
        **counts,
        "findings": [
            {"area": one.area, "name": one.name, "state": one.state.value, "detail": one.detail, "mend": one.mend}
            for one in lines
        ],
    }
