"""Partitions of sets of blocks, given as bit masks: the cheapest way to divide every set into parcels, and over sites."""

from dataclasses import dataclass

from agents.routing_problem import UNPRICED

INFEASIBLE = UNPRICED

Table = tuple[list[int], list[int]]
"""Cheapest price by mask, and the offer that gives it."""
Parcels = list[tuple[int, int]]
"""Mask and offer of each parcel."""


@dataclass(frozen=True, slots=True)
class SitePlans:
    """What one site can do with every set of blocks, by some date."""

    prices: list[int]
    choices: list[list[int]]
    """The part holding the lowest block, per number of parcels still allowed, most first; one list without a limit."""
    pick: list[int]

    def parcels(self, mask: int) -> Parcels:
        """The parcels of the cheapest partition of ``mask``."""
        parcels: Parcels = []
        level = 0
        while mask and (part := self.choices[level][mask]):
            parcels.append((part, self.pick[part]))
            mask ^= part
            level = min(level + 1, len(self.choices) - 1)
        return parcels


def partition(best: list[int], size: int) -> tuple[list[int], list[int]]:
    """Cheapest partition of every mask, and the part that holds its lowest block."""
    f, choice = [0] + [INFEASIBLE] * (size - 1), [0] * size
    for mask in range(1, size):
        low = mask & -mask
        rest = mask ^ low
        cheapest, part = INFEASIBLE, 0
        sub = rest
        while True:
            price = best[sub | low]
            if price < cheapest:
                price += f[rest ^ sub]
                if price < cheapest:
                    cheapest, part = price, sub | low
            if not sub:
                break
            sub = (sub - 1) & rest
        f[mask], choice[mask] = cheapest, part
    return f, choice


def partition_within(best: list[int], size: int, most: int) -> tuple[list[int], list[list[int]]]:
    """Cheapest partition of every mask into at most ``most`` parts, and the first parts, most parts allowed first."""
    f, choices = [0] + [INFEASIBLE] * (size - 1), [[0] * size]
    for _ in range(most):
        following, choice = [0] + [INFEASIBLE] * (size - 1), [0] * size
        for mask in range(1, size):
            low = mask & -mask
            rest = sub = mask ^ low
            while True:
                price = best[sub | low] + f[rest ^ sub]
                if price < following[mask]:
                    following[mask], choice[mask] = price, sub | low
                if not sub:
                    break
                sub = (sub - 1) & rest
        f = following
        choices.append(choice)
    return f, choices[:0:-1] or choices


def cover(table: Table, size: int) -> Parcels | None:
    """The cheapest parcels for all blocks; None when there are none."""
    f, choice = partition(table[0], size)
    return None if f[-1] >= INFEASIBLE else walk(choice, table[1], size - 1)


def walk(choice: list[int], pick: list[int], mask: int) -> Parcels:
    """The parcels of the cheapest partition of ``mask``."""
    parcels: Parcels = []
    while mask and choice[mask]:
        parcels.append((choice[mask], pick[choice[mask]]))
        mask ^= choice[mask]
    return parcels


def extend(total: list[int], own: list[int], allowed: set[int]) -> tuple[list[int], list[int]]:
    """Add one site: the cheapest way to cover each mask with it, and the part it takes."""
    size = len(total)
    result, taken = total.copy(), [0] * size
    for mask in range(1, size):
        sub = mask
        while sub:
            if sub in allowed:
                price = own[sub] + total[mask ^ sub]
                if price < result[mask]:
                    result[mask], taken[mask] = price, sub
            sub = (sub - 1) & mask
    return result, taken


def unwind(steps: list[list[Parcels]], mask: int) -> Parcels:
    """The parcels of all sites, from the last one added back to the first."""
    parcels: Parcels = []
    for step in reversed(steps):
        for part, offer in step[mask]:
            parcels.append((part, offer))
        mask ^= sum(part for part, _ in step[mask])
    return parcels
