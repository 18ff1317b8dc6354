"""The errors of testopt: what went wrong, in words a user can act on.

Every error has a slug (stable, for documentation and ``--json``), a message (what was wrong and
where), a hint (what to do), and an exit code: 1 a gate the user set was not met, 2 usage or
settings, 3 data.
"""

from __future__ import annotations

from typing import ClassVar


class TestoptError(Exception):
    """Base of all errors that testopt raises on purpose.

    Parameters
    ----------
    message : str
        What was wrong, in which file and where.
    hint : str
        What to do about it; empty where nothing helps.

    Examples
    --------
    >>> from testopt import Store, TestoptError
    >>> try:
    ...     Store.open("no/store/here")
    ... except TestoptError as error:
    ...     print(error.message)
    there is no store at no/store/here
    """

    __test__ = False  # keeps pytest from collecting the class
    slug: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[TestoptError], tuple[str, str]]:
        """Make errors cross process borders whole."""
        return (type(self), (self.message, self.hint))


class UsageError(TestoptError):
    """What the user typed or configured is wrong."""

    slug = "usage"
    exit_code = 2


class SettingsError(UsageError):
    """A setting has a name or value that testopt does not know."""

    slug = "settings"


class RevisionError(UsageError):
    """A revision does not exist in the repository."""

    slug = "revision"


class UnknownCaseError(UsageError):
    """No case, or more than one, is meant by what the user typed."""

    slug = "unknown-case"


class DataError(TestoptError):
    """Input that cannot be used as it is."""

    slug = "data"


class RepositoryError(DataError):
    """There is no git repository, or git cannot read it."""

    slug = "repository"


class GitFailedError(RepositoryError):
    """Git ran and said no; that it is missing or hangs is another error."""


class InputFileError(DataError):
    """A result file cannot be read; the message says where in it."""

    slug = "input-file"


class WorkspaceError(DataError):
    """Temporary files cannot be written."""

    slug = "workspace"


class StoreError(DataError):
    """The store is missing, damaged, or of another version."""

    slug = "store"


class ServerError(StoreError):
    """The server of a store does not answer as it should; nothing is known of what it holds."""

    slug = "server"


class EmptyStoreError(StoreError):
    """The store holds nothing that the command could work with."""

    slug = "empty-store"


class BundleError(DataError):
    """A model bundle is missing, damaged, or of another format."""

    slug = "bundle"


class OutdatedBundleError(BundleError):
    """A model bundle is whole, and of another version of testopt."""


class BackfillError(DataError):
    """Past commits cannot be replayed."""

    slug = "backfill"


class WorkersError(DataError):
    """The workers of a scheduler cannot finish what they were asked for."""

    slug = "workers"


class GateError(TestoptError):
    """A limit that the user set was not met."""

    slug = "gate"
    exit_code = 1
