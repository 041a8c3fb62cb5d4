"""Parcels being picked: taking one back, inside the caller's transaction."""

import sqlite3

from domain.errors import ConnectorRejected, TooLate
from domain.ids import EffectKey
from tools.sandbox import holds


def stop(connection: sqlite3.Connection, key: EffectKey, tenant: str) -> holds.Units:
    """Stop picking a parcel and put its units back on the shelf; stopping twice is the same as once.

    Raises:
        ConnectorRejected: there is no such fulfilment.
        TooLate: the carrier has it.
    """
    found = connection.execute(
        "SELECT state, skus FROM fulfilments WHERE fulfilment_key = ? AND tenant = ?", (key, tenant)
    ).fetchone()
    if found is None:
        raise ConnectorRejected(f"fulfilment {key} does not exist; there is nothing to cancel")
    state, skus = found
    if state == "handed_over":
        raise TooLate(f"fulfilment {key} was handed to the carrier; start a return instead")
    units = holds.unpack(skus) if state == "picking" else {}
    connection.executemany(
        "UPDATE stock SET on_hand = on_hand + ?, consumed = consumed - ? WHERE sku = ? AND warehouse = ?",
        [(count, count, sku, warehouse) for (sku, warehouse), count in units.items()],
    )
    connection.execute(
        "UPDATE fulfilments SET state = 'cancelled' WHERE fulfilment_key = ? AND tenant = ?", (key, tenant)
    )
    return units
