"""One-time sign-in links: for whoever sits at the machine and could read its key file anyway."""

from api.console.sessions import Holder, Sessions
from api.security import speaking_for
from api.tenants import Role, Tenant
from domain.errors import NotFound
from graph.bootstrap.system import Signalbox

_SERVES = (Role.ADMIN, Role.OPS)


async def one_time_link(box: Signalbox, tenant: Tenant, url: str, *, person: str) -> str:
    """An address that signs ``person`` in once, from this machine only, with the tenant's most capable key.

    Raises:
        NotFound: the tenant has no valid key of the role admin or ops.
        Forbidden: the tenant lists its people and this is none of them.
        InputError: the name is not a user id.
        StoreUnavailable: the link could not be kept.
    """
    now = box.clock.now()
    valid = [key for key in tenant.api_keys if key.expires_at is None or key.expires_at > now]
    key = next((key for role in _SERVES for key in valid if role in key.roles), None)
    if key is None:
        raise NotFound(f"tenant {tenant.tenant} has no valid key of the role admin or ops; add one to the tenants file")
    speaking_for(tenant, key, person)
    holder = Holder(tenant=tenant.tenant, key_id=key.key_id, person=person)
    token = await Sessions(box.store.batcher, box.keys).link(holder)
    return f"{url}/console/link/{token}"
