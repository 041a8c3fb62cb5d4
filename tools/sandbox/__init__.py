"""A working stand-in for every outside system, on one SQLite file. See ``Sandbox``."""

from tools.sandbox.faults import Fault, FaultMode, Faults
from tools.sandbox.sandbox import Sandbox
from tools.sandbox.system import AppliedEffect
from tools.sandbox.world import World, build_world

__all__ = ["AppliedEffect", "Fault", "FaultMode", "Faults", "Sandbox", "World", "build_world"]
