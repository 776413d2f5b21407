class RepoStorageException(Exception):
    pass


class RepoStorageInterface:
    """Each method but the property is a coroutine method."""

    def __init__(self, repo, spawn_kwargs):
        raise NotImplementedError

    async def init_update(self):
        raise NotImplementedError

    @property
    def current_update(self):
        raise NotImplementedError

    async def commit_update(self):
        raise NotImplementedError

    async def abort_update(self):
        raise NotImplementedError

    async def garbage_collection(self):
        raise NotImplementedError
