"""A sync module of Portage: link this directory as `pleach` into portage/sync/modules."""

from portage.sync.config_checks import CheckSyncConfig

doc = """Rsync transfers into a store of pleach: an update is seen whole or not at all."""
__doc__ = doc

module_spec = {
    "name": "pleach",
    "description": doc,
    "provides": {
        "pleach-module": {
            "name": "pleach-rsync",
            "sourcefile": "rsync",
            "class": "PleachRsync",
            "description": doc,
            "functions": ["sync", "new", "exists", "retrieve_head"],
            "func_desc": {
                "sync": "Performs rsync transfers on the repository",
                "new": "Creates the new repository at the specified location",
                "exists": "Returns a boolean if the specified directory exists",
                "retrieve_head": "Returns the head commit based on metadata/timestamp.commit",
            },
            "validate_config": CheckSyncConfig,
            "module_specific_options": (
                "sync-pleach-ref",
                "sync-pleach-store",
                "sync-rsync-extra-opts",
                "sync-rsync-vcs-ignore",
                "sync-rsync-verify-jobs",
                "sync-rsync-verify-max-age",
                "sync-rsync-verify-metamanifest",
            ),
        }
    },
}
