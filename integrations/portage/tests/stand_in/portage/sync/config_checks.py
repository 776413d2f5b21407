class CheckSyncConfig:
    pass
