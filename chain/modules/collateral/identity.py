"""The identity that holds over all chains at every height, from figures that anyone can query.

Locked on the spoke = liens on the hub ± in flight. The two chains are read at heights of their own,
so what is in flight is decided by id: a lock that the hub has credited is no longer on its way to
it, an order that the vault has carried out no longer on its way to the vault.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CollateralIdentity:
    """One denom of one route, in atomic units; the identity holds when the difference is 0.

    `inbound` is locked and not yet a lien, `outbound` no longer a lien and still locked.
    """

    locked: int
    liens: int
    inbound: int
    outbound: int

    @property
    def difference(self) -> int:
        """Locked collateral that no lien and no packet explains (negative: liens without locks)."""
        return self.locked - self.liens - self.inbound - self.outbound


def compute_identity(
    *,
    locked: int,
    liens: int,
    pending_locks: Mapping[str, int],
    credited_lock_ids: Collection[str],
    flights: Mapping[str, int],
    executed_order_ids: Collection[str],
) -> CollateralIdentity:
    """The identity of a denom of a route.

    Spoke: `locked` (pending + liened of its Totals), `pending_locks` by id (PendingLocks), which of
    the flights were executed (Order). Hub: `liens` (Totals), `flights` by id (PacketsInFlight),
    which of the pending locks were credited (CreditedLock). Read the spoke's figures at one height,
    the hub's at one height.
    """
    inbound = sum(
        amount for lock_id, amount in pending_locks.items() if lock_id not in credited_lock_ids
    )
    outbound = sum(
        amount for order_id, amount in flights.items() if order_id not in executed_order_ids
    )
    return CollateralIdentity(locked, liens, inbound, outbound)
