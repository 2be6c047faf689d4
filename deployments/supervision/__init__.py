"""Long-running programs of this machine, kept alive by supervisord.

Belongs here: what a program is, how supervisord is told, what outlived it. Does not belong here: which programs there
are (`deployments.local_platform`, `deployments.targets`).
"""

from deployments.supervision.process_manager import Supervisor
from deployments.supervision.program import Program, ProgramReport, ProgramState
from deployments.supervision.unix_http import UnixConnection

__all__ = ["Program", "ProgramReport", "ProgramState", "Supervisor", "UnixConnection"]
