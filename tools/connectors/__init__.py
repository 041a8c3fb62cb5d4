"""The outside systems behind the ports of ``domain.ports``. See ``Systems``."""

from tools.connectors.directory import Systems

__all__ = ["Systems"]
