"""What gets a machine ready: the Pulumi engine, the local servers and the virtual environments.

Everything here runs on the standard library alone, because it runs before anything else is installed. Other packages
need two names: `locate("kafka")` says how to start a program, and `ToolMissing` says what to type when it is not there.
"""

from __future__ import annotations

from tools.failure import SetupFailed, ToolMissing
from tools.folders import cache, checkout, home
from tools.programs import Program, locate

__all__ = ["Program", "SetupFailed", "ToolMissing", "cache", "checkout", "home", "locate"]
