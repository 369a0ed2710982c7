"""Reads the secrets that calls are signed with, from where the settings say that they are found.

A variable is read from the environment of the process, a file each time: a secret that is replaced there is used by the
next call. No text of an error ever has a part of a secret.
"""

from __future__ import annotations

import os
import re
import stat
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path

from mainspring.declared import Secret
from mainspring.errors import ConfigError

_VALUE = re.compile(r"whsec_([A-Za-z0-9+/]+={0,2})")
_SHORTEST, _LONGEST = 24, 64
"""Bytes of a key, by Standard Webhooks."""
_MOST_BYTES = 16 * 1024


def keys_of(name: str, secret: Secret, environ: Mapping[str, str] = os.environ) -> list[bytes]:
    """Return the keys of a secret, of which several are separated by white space. Raises `ConfigError`."""
    text = _read(name, secret, environ)
    if not (words := text.split()):
        raise ConfigError(f"the secret {name} is empty")
    return [_key(name, word) for word in words]


def problems_of_secrets(secrets: Mapping[str, Secret], environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Say of each secret why it cannot be used, if it cannot."""
    for name, secret in secrets.items():
        try:
            keys_of(name, secret, environ)
        except ConfigError as error:
            yield str(error)


def _read(name: str, secret: Secret, environ: Mapping[str, str]) -> str:
    if secret.environment is not None:
        if secret.environment not in environ:
            raise ConfigError(f"the secret {name} is not there: this process has no variable {secret.environment}")
        return environ[secret.environment]
    path = Path(secret.file or "")
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise ConfigError(f"the secret {name} cannot be read: {path} is no file")
            if about.st_mode & stat.S_IRWXO:
                raise ConfigError(f"the secret {name} is not used: everybody may use {path}; chmod o= {path} helps")
            return file.read(_MOST_BYTES).decode("ascii")
    except OSError as error:
        raise ConfigError(f"the secret {name} cannot be read: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the secret {name} in {path} is no text of ASCII") from None


def _key(name: str, word: str) -> bytes:
    found = _VALUE.fullmatch(word)
    try:
        key = b64decode(found[1], validate=True) if found else b""
    except ValueError:
        key = b""
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ConfigError(f"the secret {name} is not whsec_ and {_SHORTEST} to {_LONGEST} bytes in Base64")
    return key
