"""Shares: nobody's address takes all of what is there for everybody.

Who sends no cookie is somebody new every time, but comes from the same address. What is known of
addresses is kept in memory alone.
"""

import ipaddress
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SHARE = 0.5
"""What one address may have of a bound for all."""

MOST = 10_000
"""Addresses that are kept in mind."""

NETWORK = 64
"""Bits of an IPv6 address that belong to one household."""

ADDRESS: ContextVar[str | None] = ContextVar("address", default=None)
"""Where the request that is being answered comes from; None: this machine, whose owner it is."""


def neighbour(address: str | None) -> str | None:
    """What counts as one address; None for this machine, and for what is none."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:  # a socket of this machine has none
        return None
    if found.version == 6 and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.is_loopback:
        return None
    if found.version == 6:
        return str(ipaddress.ip_network((int(found), NETWORK), strict=False))
    return str(found)


def share(most: float) -> float:
    """What one address may have, of so much for all."""
    return max(1.0, most * SHARE)


class Shares:
    """What each address has in hand of something that has a bound for all."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def room(self, most: float, amount: float = 1) -> bool:
        """Whether the address that asks may have so much more.  most: for all"""
        address = ADDRESS.get()
        return address is None or self._held[address] + amount <= share(most)

    def take(self, amount: int) -> None:
        """Note that it has so much more; or, below 0, that it has it no more."""
        if (address := ADDRESS.get()) is None:
            return
        with self._lock:
            self._held[address] += amount
            if not self._held[address]:
                del self._held[address]

    @contextmanager
    def held(self) -> Iterator[None]:
        """One, as long as the block lasts."""
        self.take(1)
        try:
            yield
        finally:
            self.take(-1)


class Origins:
    """Which of the things that are kept came from which address."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, set[str]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, id: str) -> None:
        """One that the address that asks has brought."""
        address = ADDRESS.get()
        if address is None:
            return
        with self._lock:
            self._ids.setdefault(address, set()).add(id)
            self._ids.move_to_end(address)
            if len(self._ids) > MOST:
                self._ids.popitem(last=False)

    def mine(self, there: Collection[str]) -> set[str]:
        """Those of the address that asks that are still there.  there: all"""
        with self._lock:
            ids = self._ids.get(ADDRESS.get() or "", set())
            ids.intersection_update(there)
            return set(ids)

    def full(self, most: float, there: Callable[[], Collection[str]]) -> bool:
        """Whether the address that asks has its share.  most: for all; there: asked if need be"""
        with self._lock:
            count = len(self._ids.get(ADDRESS.get() or "", ()))
        return count >= share(most) and len(self.mine(there())) >= share(most)
