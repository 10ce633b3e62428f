"""The contract of a secret store: values by key, which a configuration refers to as `@{store:key}`."""

from pyagent.api.errors import ConfigError
from pyagent.api.plugin import O_co, Plugin

__all__ = ["SecretStore"]


class SecretStore(Plugin[O_co]):
    """Asked when a configuration is loaded, at the start and at every reload, and by `pyagent secrets`. It reads only, unless
    it defines `set` and `remove`."""

    def get(self, key: str) -> str:
        """The value. Raises LookupError for a key that it does not have, ConfigError where it cannot be read."""
        raise NotImplementedError("the plugin defines no get(self, key)")

    def list(self) -> list[str]:
        """The keys. Raises ConfigError where they cannot be listed."""
        raise NotImplementedError("the plugin defines no list(self)")

    def set(self, key: str, value: str) -> None:
        """Keep a value. Raises ConfigError where that cannot be."""
        raise ConfigError("this store can only be read")

    def remove(self, key: str) -> None:
        """Forget a key. Raises LookupError for one that it does not have, ConfigError where that cannot be."""
        raise ConfigError("this store can only be read")
