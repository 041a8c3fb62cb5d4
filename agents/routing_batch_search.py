"""The batch without a solver: regret-greedy, then moves and short ejection chains until none helps. Deterministic."""

from collections.abc import Mapping, Sequence

from agents.routing_batch_columns import Candidates, Column, Key, Uses

Choice = list[Column | None]
"""The column of each order, in the batch's order; None is not served."""
ROUNDS = 20
CHAIN = 3
"""How many other orders may move to make room for one."""
PLACEMENTS = 30_000
"""Columns tried by one climb before it is content with what it has: a bound on time."""


class Pool:
    """What is left of the shared stock and room while columns are chosen."""

    def __init__(self, supply: Mapping[Key, int]) -> None:
        self.left = dict(supply)

    def fits(self, column: Column) -> bool:
        """Whether there is enough for the column."""
        return all(self.left.get(key, 0) >= units for key, units in column.uses)

    def take(self, column: Column | None, sign: int = 1) -> None:
        """Take what the column uses; ``sign`` -1 gives it back."""
        for key, units in _uses(column):
            self.left[key] = self.left.get(key, 0) - sign * units

    def cheapest(self, columns: Sequence[Column]) -> Column | None:
        """The first column, cheapest first, there is enough for."""
        return next((column for column in columns if self.fits(column)), None)


def cost_of(batch: Sequence[Candidates], choice: Sequence[Column | None]) -> int:
    """The objective of a choice: its columns, and a penalty for every order left out."""
    return sum(
        order.unserved_minor if column is None else column.objective_minor
        for order, column in zip(batch, choice, strict=True)
    )


def first_come(batch: Sequence[Candidates], supply: Mapping[Key, int]) -> Choice:
    """Each order in turn takes its best plan from what is left: what happens without a batch."""
    return _in_turn([order.columns for order in batch], supply)


def as_held(batch: Sequence[Candidates], supply: Mapping[Key, int]) -> Choice:
    """Every order keeps the plan it has."""
    return _in_turn([[column for column in order.columns if column.plan] for order in batch], supply)


def _in_turn(offered: Sequence[Sequence[Column]], supply: Mapping[Key, int]) -> Choice:
    pool = Pool(supply)
    choice: Choice = []
    for columns in offered:
        column = pool.cheapest(columns)
        pool.take(column)
        choice.append(column)
    return choice


def by_regret(batch: Sequence[Candidates], supply: Mapping[Key, int]) -> Choice:
    """The order that loses most by waiting goes first: second best against best, as far as still possible."""
    pool = Pool(supply)
    choice: Choice = [None] * len(batch)
    fitting = {i: list(order.columns) for i, order in enumerate(batch)}
    touching: dict[Key, set[int]] = {}
    for i, order in enumerate(batch):
        for key in {key for column in order.columns for key, _ in column.uses}:
            touching.setdefault(key, set()).add(i)
    regret = {i: _regret(columns, batch[i].unserved_minor) for i, columns in fitting.items()}
    while regret:
        i = max(regret, key=lambda i: (regret[i], -i))
        column = pool.cheapest(fitting[i])
        choice[i] = column
        pool.take(column)
        del regret[i]
        affected = {j for key, _ in _uses(column) for j in touching[key]} & regret.keys()
        for j in affected:
            fitting[j] = [other for other in fitting[j] if pool.fits(other)]
            regret[j] = _regret(fitting[j], batch[j].unserved_minor)
    return choice


def _regret(columns: Sequence[Column], unserved_minor: int) -> int:
    costs = [column.objective_minor for column in columns[:2]] + [unserved_minor, unserved_minor]
    return costs[1] - costs[0]


def _uses(column: Column | None) -> Uses:
    return column.uses if column is not None else ()


def improved(batch: Sequence[Candidates], choice: Choice, supply: Mapping[Key, int]) -> Choice:
    """The choice after moves to cheaper columns, each pushing a few other orders to other columns if that pays."""
    climb = _Climb(batch, choice, supply)
    for _ in range(ROUNDS):
        if sum(climb.move(i) for i in range(len(batch))) == 0:
            break
    return climb.choice


class _Climb:
    """Local search over one batch."""

    def __init__(self, batch: Sequence[Candidates], choice: Choice, supply: Mapping[Key, int]) -> None:
        self.batch = batch
        self.choice = list(choice)
        self.pool = Pool(supply)
        self.tried = 0
        self.users: dict[Key, set[int]] = {}
        for i, column in enumerate(self.choice):
            self._enter(i, column)

    def move(self, i: int) -> bool:
        """Give one order a cheaper column, if that pays."""
        now = self._cost(i, self.choice[i])
        for column in self.batch[i].columns:
            if column.objective_minor >= now:
                return False
            self._leave(i)
            if self._place(i, column, now - column.objective_minor, CHAIN):
                return True
            self._enter(i, self.choice[i])
        return False

    def _place(self, i: int, column: Column, gain: int, chain: int) -> bool:
        """Give order ``i``, which holds nothing now, a column; others may move for it at less than ``gain`` in all."""
        self.tried += 1
        if self.pool.fits(column):
            self._enter(i, column)
            return True
        if chain == 0 or self.tried > PLACEMENTS:
            return False
        lacking = [key for key, units in column.uses if self.pool.left.get(key, 0) < units]
        for j in sorted(set.intersection(*(self.users.get(key, set()) for key in lacking)) - {i}):
            old = self.choice[j]
            self._leave(j)
            if self.pool.fits(column):
                self.pool.take(column)
                moved = self._moved(j, self._cost(j, old), gain, chain)
                self.pool.take(column, -1)
                if moved:
                    self._enter(i, column)
                    return True
            self._enter(j, old)
        return False

    def _moved(self, j: int, before: int, gain: int, chain: int) -> bool:
        """Whether order ``j`` has found another column, or goes without, at less than ``gain``."""
        for other in self.batch[j].columns:
            if other.objective_minor - before >= gain:
                break
            if self._place(j, other, gain - (other.objective_minor - before), chain - 1):
                return True
        if self.batch[j].unserved_minor - before >= gain:
            return False
        self._enter(j, None)
        return True

    def _cost(self, i: int, column: Column | None) -> int:
        return self.batch[i].unserved_minor if column is None else column.objective_minor

    def _enter(self, i: int, column: Column | None) -> None:
        self.choice[i] = column
        self.pool.take(column)
        for key, _ in _uses(column):
            self.users.setdefault(key, set()).add(i)

    def _leave(self, i: int) -> None:
        column = self.choice[i]
        self.pool.take(column, -1)
        for key, _ in _uses(column):
            self.users[key].discard(i)
