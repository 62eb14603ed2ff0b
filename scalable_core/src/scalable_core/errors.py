"""Every error Scalable raises on purpose, each a sentence with a cure.

ScalableError                   exit 1
+-- UsageError                  exit 2   a command or call that makes no sense
|   +-- ManifestError           exit 2   scalable.yaml has problems (all of them are carried)
|   +-- PlanDriftError          exit 2   plan.json no longer matches its manifest
+-- ProviderError               exit 3   something is wrong with a plugin or what it talks to
|   +-- ProviderNotFoundError            no installed plugin has that name
|   +-- ProviderBlockedError             disabled by SCALABLE_DISABLE_PLUGINS
|   +-- ProviderIncompatibleError        version or API does not fit this core
|   +-- ProviderBrokenError              installed, but its import or registration failed
|   +-- HookNotImplementedError          the provider lacks the verb that is needed
|   +-- PluginContractError              two dists with one name, or an answer of the wrong type
|   +-- NotInThisVersionError            the plugin names the verb, this version cannot do it yet
|   +-- ImageError                       an image cannot be resolved
|   +-- ArtifactError                    an artifact cannot be stored or fetched
|   +-- ClusterError                     a cluster cannot be made, reached or released
|       +-- NoCapacityError     exit 4   the service has no machines to give
+-- WorkflowError               exit 1   the user's work failed
    +-- TaskTimeoutError                 a task ran longer than its timeout
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from scalable_core.types import Problem


class ScalableError(Exception):
    """Base of all errors of Scalable.

    Args:
        message: One sentence: what is wrong and where.
        cure: One sentence or command that mends it, printed on its own line.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, cure: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message}\n  {self.cure}" if self.cure else self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by state: tasks on workers raise these too."""
        return (_rebuild, (type(self), self.__dict__, self.args))


def _rebuild(
    cls: type[ScalableError], state: dict[str, object], args: tuple[object, ...]
) -> ScalableError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(ScalableError):
    """A command line or a call that makes no sense as written."""

    exit_code = 2


class ManifestError(UsageError):
    """The manifest has problems; ``problems`` carries all of them, in file order."""

    def __init__(
        self, message: str, problems: Sequence[Problem] = (), *, cure: str | None = None
    ) -> None:
        super().__init__(message, cure=cure)
        self.problems: tuple[Problem, ...] = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([self.message, *(str(problem) for problem in self.problems)])


class PlanDriftError(UsageError):
    """A saved plan and the manifest it was made from no longer say the same."""


class ProviderError(ScalableError):
    """Something is wrong with a provider plugin, its credentials or its service."""

    exit_code = 3


class ProviderNotFoundError(ProviderError):
    """No installed plugin provides that name."""


class ProviderBlockedError(ProviderError):
    """The plugin is disabled by ``SCALABLE_DISABLE_PLUGINS``."""


class ProviderIncompatibleError(ProviderError):
    """The plugin was written for another version of the core."""


class ProviderBrokenError(ProviderError):
    """The plugin is installed but cannot be imported or registered."""


class HookNotImplementedError(ProviderError):
    """The provider does not implement the verb that was asked of it."""


class PluginContractError(ProviderError):
    """A plugin breaks the contract of ``scalable_core.hookspecs``."""


class NotInThisVersionError(ProviderError):
    """The plugin knows the verb, but this version of it cannot do it yet."""


class ImageError(ProviderError):
    """A container image cannot be found, read or used."""


class StorageError(ProviderError):
    """A place for objects does not exist, may not be used, or cannot be reached."""


class ArtifactError(ProviderError):
    """An artifact cannot be stored or fetched as asked."""


class ClusterError(ProviderError):
    """A cluster cannot be provisioned, reached or released."""


class NoCapacityError(ClusterError):
    """The service has no machines of the wanted kind."""

    exit_code = 4


class WorkflowError(ScalableError):
    """The user's own work failed."""


class TaskTimeoutError(WorkflowError, TimeoutError):
    """A task ran longer than its ``timeout`` and was stopped."""


class BudgetReachedError(ScalableError):
    """The run was stopped by its budget; what it finished is kept, and it can be resumed."""

    exit_code = 75
