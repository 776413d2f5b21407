"""Package repositories of Portage in a store of pleach: `PleachRepoStorage` has the life cycle of
Portage's RepoStorageInterface. Without Portage it can be imported, and driven, as well."""

from .storage import PleachRepoStorage, RepoStorageException

__all__ = ["PleachRepoStorage", "RepoStorageException"]
