"""How often each kind of order shows each sign: stated assumptions of the generated world, not measurements."""

from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """What an order really is."""

    GOOD = "good"
    UNUSUAL = "unusual"
    """Good, but odd to look at."""
    STOLEN_CARD = "stolen_card"
    COD_REFUSAL = "cod_refusal"
    TAKEOVER = "takeover"
    HOARDING = "hoarding"
    FRIENDLY = "friendly"
    """Ordered and received, then disputed: nothing shows it beforehand."""


_COLUMNS = (
    Kind.GOOD, Kind.UNUSUAL, Kind.STOLEN_CARD, Kind.COD_REFUSAL, Kind.TAKEOVER, Kind.HOARDING, Kind.FRIENDLY,
)  # fmt: skip
_TABLE: dict[str, tuple[float, ...]] = {
    #                    good    unusual stolen  cod   taken   hoard   friendly
    "card_velocity":    (0.003,  0.010,  0.350,  0.00, 0.120,  0.080,  0.003),
    "device_accounts":  (0.005,  0.010,  0.350,  0.08, 0.100,  0.250,  0.005),
    "ip_velocity":      (0.015,  0.030,  0.220,  0.05, 0.080,  0.250,  0.015),
    "declines":         (0.004,  0.040,  0.300,  0.00, 0.060,  0.020,  0.004),
    "address_accounts": (0.005,  0.030,  0.180,  0.15, 0.050,  0.250,  0.005),
    "avs_known":        (0.350,  0.350,  0.350,  0.35, 0.350,  0.350,  0.350),
    "avs_fail":         (0.030,  0.150,  0.350,  0.03, 0.050,  0.030,  0.030),
    "avs_partial":      (0.060,  0.100,  0.150,  0.06, 0.060,  0.060,  0.060),
    "cvv_fail":         (0.004,  0.008,  0.180,  0.00, 0.030,  0.004,  0.004),
    "bin_elsewhere":    (0.035,  0.350,  0.400,  0.04, 0.100,  0.050,  0.035),
    "bin_prepaid":      (0.030,  0.120,  0.200,  0.03, 0.050,  0.080,  0.030),
    "three_ds":         (0.300,  0.250,  0.040,  0.00, 0.080,  0.250,  0.300),
    "ip_elsewhere":     (0.080,  0.550,  0.420,  0.05, 0.500,  0.080,  0.080),
    "proxy":            (0.012,  0.080,  0.280,  0.02, 0.300,  0.120,  0.012),
    "hosting":          (0.008,  0.040,  0.180,  0.01, 0.200,  0.120,  0.008),
    "forwarder":        (0.025,  0.250,  0.220,  0.03, 0.250,  0.250,  0.030),
    "disposable":       (0.004,  0.020,  0.220,  0.06, 0.030,  0.120,  0.004),
    "new_account":      (0.050,  0.300,  0.500,  0.25, 0.000,  0.350,  0.050),
    "first_order":      (0.280,  0.700,  0.800,  0.45, 0.000,  0.500,  0.300),
    "bulk":             (0.010,  0.040,  0.300,  0.02, 0.350,  0.600,  0.020),
    "resale":           (0.000,  0.050,  0.350,  0.05, 0.400,  0.500,  0.050),
    "quantity":         (0.008,  0.020,  0.080,  0.01, 0.080,  0.700,  0.010),
    "express":          (0.150,  0.350,  0.450,  0.10, 0.500,  0.300,  0.200),
    "cod":              (0.120,  0.080,  0.000,  1.00, 0.020,  0.150,  0.100),
    "refuser":          (0.020,  0.030,  0.000,  0.50, 0.000,  0.050,  0.020),
    "phone":            (0.010,  0.060,  0.120,  0.25, 0.030,  0.100,  0.010),
    "known_bad":        (0.0003, 0.001,  0.080,  0.06, 0.020,  0.060,  0.010),
    "good_history":     (0.400,  0.250,  0.020,  0.02, 0.550,  0.050,  0.300),
    "profile_change":   (0.004,  0.020,  0.000,  0.01, 0.850,  0.010,  0.004),
    "new_device":       (0.300,  0.500,  0.000,  0.30, 0.900,  0.300,  0.300),
}  # fmt: skip

SIGNS = tuple(_TABLE)
CHANCES: Mapping[Kind, Mapping[str, float]] = {
    kind: {sign: row[place] for sign, row in _TABLE.items()} for place, kind in enumerate(_COLUMNS)
}
"""Chance of each sign by kind."""
