"""The risk desk's book when a shop keeps none, and when a test or a small shop keeps it in memory."""

from collections.abc import Iterable, Mapping, Sequence

from domain.risk import CustomerException


class MemoryRiskBook:
    """Exceptions and confirmed fraud in memory; empty unless something is given or added."""

    def __init__(
        self, exceptions: Iterable[CustomerException] = (), confirmed: Iterable[tuple[str, str, str]] = ()
    ) -> None:
        """``confirmed`` are tenant, key name (``card``) and value."""
        self._exceptions: dict[tuple[str, str], list[CustomerException]] = {}
        for one in exceptions:
            self.add(one)
        self._confirmed = set(confirmed)

    def add(self, exception: CustomerException) -> None:
        """Write one down; the same id again replaces it."""
        known = self._exceptions.setdefault((exception.tenant, exception.customer_id), [])
        known[:] = [one for one in known if one.exception_id != exception.exception_id]
        known.append(exception)

    async def exceptions(self, *, tenant: str, customer_id: str) -> Sequence[CustomerException]:
        """Every exception of a customer, ended ones included."""
        return tuple(self._exceptions.get((tenant, customer_id), ()))

    async def confirmed(self, *, tenant: str, keys: Mapping[str, str]) -> Sequence[str]:
        """The names of the keys whose value is on the confirmed-fraud list."""
        return [name for name, value in keys.items() if (tenant, name, value) in self._confirmed]
