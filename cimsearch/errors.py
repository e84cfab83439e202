"""The error tree: an error a user can cause has one clear line, a hint and an exit code."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INVALID_SPEC = 3
    STORAGE = 4
    DATA = 5
    WORKERS = 6
    INTERRUPTED = 130


class CimsearchError(Exception):
    """Base of all errors that a user can act on.

    Args:
        message: One or more lines: what was wrong, where, and what is allowed.
        hint: What to do next, or an empty string.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.message, self.hint)


class UsageError(CimsearchError):
    """A verb or function was called with arguments that do not fit together."""

    exit_code = ExitCode.USAGE


class SpecError(CimsearchError):
    """A hardware, space or study file is not valid."""

    exit_code = ExitCode.INVALID_SPEC


class HardwareError(SpecError):
    """A network asks of a macro what its hardware cannot do."""


class SpaceError(SpecError):
    """A search space cannot give the candidate asked for, or any feasible one."""


class StorageError(CimsearchError):
    """The database cannot be opened, read or written."""

    exit_code = ExitCode.STORAGE


class StorageUnreachableError(StorageError):
    """The database cannot be used now: its server is away, or another has it. It may be later."""


class StudyError(CimsearchError):
    """A study cannot be started, found or continued as asked."""


class LeaseLostError(StudyError):
    """Another orchestrator has taken over the study that this one was running."""


class DataError(CimsearchError):
    """A data set is missing or not what the study declares."""

    exit_code = ExitCode.DATA


class WorkerError(CimsearchError):
    """Workers could not be started or reached."""

    exit_code = ExitCode.WORKERS
