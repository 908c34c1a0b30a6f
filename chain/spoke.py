"""A collateral chain: a vault that locks collateral and obeys one hub."""

from typing import Final

from chain import ibc
from chain.assembly import build_chain
from chain.ibc.apps import transfer
from chain.ibc.apps.margin import PORT, MarginApplication
from chain.ibc.apps.transfer.application import TransferApplication
from chain.ibc.apps.transfer.denoms import PORT as TRANSFER_PORT
from chain.modules import council, vault, venue
from chain.modules.vault.packets import PACKET_HANDLERS as VAULT_PACKETS
from chain.modules.venue.handlers import PACKET_HANDLERS as VENUE_PACKETS

MARGIN: Final = MarginApplication({**VAULT_PACKETS, **VENUE_PACKETS})
"""What vault and venue do with margin-1 packets."""

SPOKE = build_chain(
    "margin-spoke",
    (
        ibc.module(
            {PORT: MARGIN, TRANSFER_PORT: TransferApplication()}, council.state.get_authority
        ),
        transfer.module(council.state.get_authority),
        vault.MODULE,
        venue.MODULE,
    ),
)
