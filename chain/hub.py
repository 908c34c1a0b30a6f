"""The margin chain: accounts that borrow strength from collateral on other chains."""

from typing import Final

from chain import ibc
from chain.assembly import build_chain
from chain.ibc.apps import transfer
from chain.ibc.apps.margin import PORT, MarginApplication
from chain.ibc.apps.transfer.application import TransferApplication
from chain.ibc.apps.transfer.denoms import PORT as TRANSFER_PORT
from chain.modules import (
    accounts,
    collateral,
    council,
    desk,
    insurance,
    liquidation,
    markets,
    oracle,
    scenarios,
    venues,
)
from chain.modules.collateral.packets import PACKET_HANDLERS as COLLATERAL_PACKETS
from chain.modules.liquidation.packets import PACKET_HANDLERS as LIQUIDATION_PACKETS
from chain.modules.liquidation.vouchers import TRANSFER_HOOKS
from chain.modules.venues.packets import PACKET_HANDLERS as VENUES_PACKETS

MARGIN: Final = MarginApplication({**COLLATERAL_PACKETS, **LIQUIDATION_PACKETS, **VENUES_PACKETS})
"""What the hub does with margin-1 packets."""

TRANSFER: Final = TransferApplication(TRANSFER_HOOKS)
"""What the hub does with transfers: ordinary ones, deposits by memo, vouchers sent home."""

HUB = build_chain(
    "margin-hub",
    (
        ibc.module({PORT: MARGIN, TRANSFER_PORT: TRANSFER}, council.state.get_authority),
        transfer.module(council.state.get_authority),
        oracle.module(),
        scenarios.MODULE,
        accounts.MODULE,
        markets.MODULE,
        collateral.MODULE,
        venues.MODULE,
        insurance.MODULE,
        liquidation.MODULE,
        desk.MODULE,
    ),
)
