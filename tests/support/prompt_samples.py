"""Sample variables for every shipped prompt, by prompt id: what its snapshot is rendered with."""

from typing import Any

SAMPLES: dict[str, dict[str, Any]] = {
    "gateway_check": {"trusted": {"question": "17 + 25?"}, "untrusted": {"sample": "Where is my parcel?"}},
}
