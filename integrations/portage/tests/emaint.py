"""Syncs one repository as Portage does: emaint.py REPOSITORY, a JSON object of what repos.conf would say."""

import importlib
import json
import os
import sys
import types


def repository(conf):
    location = conf["location"]
    os.makedirs(location, exist_ok=True) if not os.path.islink(location) else None
    return types.SimpleNamespace(
        name=conf["name"],
        user_location=location,
        location=os.path.realpath(location),
        sync_uri=conf["sync-uri"],
        extra=conf.get("sync-rsync-extra-opts", []),
        verify=conf.get("verify"),
        module_specific_options={k: v for k, v in conf.items() if k.startswith("sync-pleach")},
    )


def module_class(sync_type):
    """By the specification that the module gives of itself."""
    module = importlib.import_module("portage.sync.modules.pleach")
    for kind in module.module_spec["provides"].values():
        if kind["name"] == sync_type:
            found = importlib.import_module(f"{module.__name__}.{kind['sourcefile']}")
            return getattr(found, kind["class"])
    raise KeyError(sync_type)


def main():
    conf = json.loads(sys.argv[1])
    spawn_kwargs = {"env": dict(os.environ)}
    if "uid" in conf:
        spawn_kwargs["uid"] = conf["uid"]
    sync = module_class("pleach-rsync")()
    return sync.sync({"repo": repository(conf), "spawn_kwargs": spawn_kwargs})


if __name__ == "__main__":
    sys.exit(main())
