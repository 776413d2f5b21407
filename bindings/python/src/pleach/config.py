"""Settings, of a store or of one ref, as a mapping."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Iterator, MutableMapping, Optional

from . import _abi, _convert, _session
from ._text import Text, encode, encode_maybe
from .errors import UsageError
from .results import Setting

if TYPE_CHECKING:
    from .store import Store


class Config(MutableMapping[str, str]):
    """The settings as they hold, "" where there is no value. To set one is atomic and durable; to
    delete one is to unset it: a ref's own, or the store's.

    >>> store["site"].config["keep"] = "5"
    >>> store["site"].config["keep"], store.config["keep"]
    ('5', 'all')
    >>> del store["site"].config["keep"]
    >>> store["site"].config.setting("keep").where
    'default'
    """

    def __init__(self, store: Store, ref: Optional[Text] = None):
        self._store = store
        self._ref = encode_maybe(ref)

    def settings(self) -> _session.Listing[Setting]:
        """Every setting, with where it is set and what it means."""
        return _session.listing(
            self._store._pool, "pleach_config", _abi.Setting, _convert.setting, self._ref
        )

    def setting(self, key: str) -> Setting:
        with self.settings() as settings:
            for setting in settings:
                if setting.key == key:
                    return setting
        raise KeyError(key)

    def __getitem__(self, key: str) -> str:
        return self.setting(key).value

    def __setitem__(self, key: str, value: Text) -> None:
        self._set(key, encode(value))

    def __delitem__(self, key: str) -> None:
        try:
            self._set(key, None)
        except UsageError:
            raise KeyError(key) from None

    def _set(self, key: str, value: Optional[bytes]) -> None:
        with self._store._pool.session() as session:
            session.call("pleach_config_set", self._ref, encode(key), value).checked()

    def __iter__(self) -> Iterator[str]:
        return (setting.key for setting in self.settings())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        of = f"ref {os.fsdecode(self._ref)!r}" if self._ref is not None else "the store"
        return f"<Config of {of}>"
