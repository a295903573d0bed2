"""Calls that must not reach the network, whatever other threads do meanwhile."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from contextvars import ContextVar

_EVENTS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto")
_offline = ContextVar("mne_samba_offline", default=False)


class OfflineError(BaseException):
    """The network was asked for; no handler takes it for a failed download and tries again."""


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Raise `OfflineError` where this thread looks up or connects to a host."""
    _listen()
    token = _offline.set(True)
    try:
        yield
    finally:
        _offline.reset(token)


@functools.cache
def _listen() -> None:
    # Python tells audit hooks of every connection before it is made; they stay until it ends, when
    # modules have lost their names: what is asked of is bound here.
    events, asked, error = _EVENTS, _offline.get, OfflineError

    def refuse(event: str, _args) -> None:
        if event in events and asked():
            raise error(event)

    sys.addaudithook(refuse)
