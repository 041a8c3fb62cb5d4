"""The tables of the sandbox file. ``applied_effects`` is append-only: the database itself refuses to change it."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS applied_effects (
    position INTEGER PRIMARY KEY,
    system TEXT NOT NULL,
    tenant TEXT NOT NULL,
    effect_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    args_digest TEXT NOT NULL,
    applied_at TEXT NOT NULL,
    receipt TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS applied_once ON applied_effects (effect_key, tenant, system);
CREATE TRIGGER IF NOT EXISTS applied_effects_keep BEFORE DELETE ON applied_effects
BEGIN SELECT RAISE(ABORT, 'applied_effects is append-only'); END;
CREATE TRIGGER IF NOT EXISTS applied_effects_fix BEFORE UPDATE ON applied_effects
BEGIN SELECT RAISE(ABORT, 'applied_effects is append-only'); END;

CREATE TABLE IF NOT EXISTS stock (
    sku TEXT NOT NULL,
    warehouse TEXT NOT NULL,
    opening INTEGER NOT NULL,
    counted INTEGER NOT NULL DEFAULT 0,
    consumed INTEGER NOT NULL DEFAULT 0,
    on_hand INTEGER NOT NULL CHECK (on_hand >= 0),
    held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    safety INTEGER NOT NULL DEFAULT 0,
    quarantine INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sku, warehouse),
    CHECK (held <= on_hand)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holds (
    tenant TEXT NOT NULL,
    hold_key TEXT NOT NULL,
    order_id TEXT NOT NULL,
    state TEXT NOT NULL,
    lines TEXT NOT NULL,
    units TEXT NOT NULL,
    expires_at_ms INTEGER,
    PRIMARY KEY (hold_key, tenant)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holds_expiring ON holds (expires_at_ms) WHERE state = 'held' AND expires_at_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS fulfilments (
    tenant TEXT NOT NULL,
    fulfilment_key TEXT NOT NULL,
    hold_key TEXT NOT NULL,
    order_id TEXT NOT NULL,
    warehouse TEXT NOT NULL,
    state TEXT NOT NULL,
    skus TEXT NOT NULL,
    tracking TEXT NOT NULL,
    PRIMARY KEY (fulfilment_key, tenant)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fulfilments_by_hold ON fulfilments (hold_key, tenant);
CREATE INDEX IF NOT EXISTS fulfilments_by_tracking ON fulfilments (tracking);

CREATE TABLE IF NOT EXISTS feed_delays (warehouse TEXT PRIMARY KEY, delay_ms INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS labels (
    carrier TEXT NOT NULL,
    tenant TEXT NOT NULL,
    label_key TEXT NOT NULL,
    order_id TEXT NOT NULL,
    tracking TEXT NOT NULL,
    state TEXT NOT NULL,
    cost_minor INTEGER NOT NULL,
    PRIMARY KEY (label_key, tenant, carrier)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS labels_by_tracking ON labels (tracking);

CREATE TABLE IF NOT EXISTS payments (
    tenant TEXT NOT NULL,
    order_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    captured_minor INTEGER NOT NULL DEFAULT 0,
    refunded_minor INTEGER NOT NULL DEFAULT 0 CHECK (refunded_minor <= captured_minor),
    PRIMARY KEY (order_id, tenant)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS oms_orders (
    tenant TEXT NOT NULL,
    order_id TEXT NOT NULL,
    state TEXT NOT NULL,
    warehouses TEXT NOT NULL DEFAULT '[]',
    tracking TEXT NOT NULL DEFAULT '[]',
    reason TEXT NOT NULL DEFAULT '',
    updated_at TEXT NOT NULL,
    PRIMARY KEY (order_id, tenant)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS customer_histories (customer_id TEXT PRIMARY KEY, history TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS loyalty (
    tenant TEXT NOT NULL,
    loyalty_key TEXT NOT NULL,
    order_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    points INTEGER NOT NULL CHECK (points >= 0),
    reversed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (loyalty_key, tenant)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS loyalty_once ON loyalty (order_id, tenant) WHERE reversed = 0;
CREATE INDEX IF NOT EXISTS loyalty_by_customer ON loyalty (customer_id, tenant);
CREATE TABLE IF NOT EXISTS tags (
    tenant TEXT NOT NULL, order_id TEXT NOT NULL, tags TEXT NOT NULL, PRIMARY KEY (order_id, tenant)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS channel_orders (
    tenant TEXT NOT NULL,
    order_id TEXT NOT NULL,
    external_id TEXT NOT NULL,
    shop TEXT NOT NULL,
    state TEXT NOT NULL,
    tracking TEXT NOT NULL DEFAULT '[]',
    carrier TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (order_id, tenant)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS platform_orders (
    channel TEXT NOT NULL, shop TEXT NOT NULL, external_id TEXT NOT NULL, payload TEXT NOT NULL,
    PRIMARY KEY (external_id, channel, shop)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS outbox (
    position INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    order_id TEXT NOT NULL,
    message TEXT NOT NULL,
    sent_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_by_order ON outbox (order_id, tenant);

CREATE TABLE IF NOT EXISTS supply_offers (
    supplier_id TEXT NOT NULL, sku TEXT NOT NULL, offer TEXT NOT NULL, PRIMARY KEY (sku, supplier_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS supply_sales (sku TEXT PRIMARY KEY, history TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS supply_inbound (
    sku TEXT NOT NULL, reference TEXT NOT NULL, supply TEXT NOT NULL, PRIMARY KEY (sku, reference)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS listings (
    tenant TEXT NOT NULL, sku TEXT NOT NULL, channel TEXT NOT NULL, listing TEXT NOT NULL,
    PRIMARY KEY (sku, channel, tenant)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS promotions (
    tenant TEXT NOT NULL, sku TEXT NOT NULL, promotion_id TEXT NOT NULL, promotion TEXT NOT NULL,
    PRIMARY KEY (sku, promotion_id, tenant)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS purchase_letters (
    position INTEGER PRIMARY KEY, tenant TEXT NOT NULL, number TEXT NOT NULL, letter TEXT NOT NULL, sent_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS purchase_letters_by_number ON purchase_letters (number, tenant);

CREATE TABLE IF NOT EXISTS service_documents (
    tenant TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (tenant, kind, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS service_keys (
    tenant TEXT NOT NULL, kind TEXT NOT NULL, way TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (tenant, kind, way, key, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS service_keys_by_name ON service_keys (tenant, kind, name);

CREATE TABLE IF NOT EXISTS faults (
    fault_id INTEGER PRIMARY KEY, system TEXT NOT NULL, call TEXT NOT NULL, fault TEXT NOT NULL, remaining INTEGER
);
"""
