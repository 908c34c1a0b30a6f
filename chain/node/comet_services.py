"""gRPC methods answered with the help of the CometBFT node beside us: blocks, transactions, sets.

They are not reachable by abci_query: a query that asks CometBFT while CometBFT waits for us would
wait for itself.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message

from chain._pb.cosmos.base.abci.v1beta1 import abci_pb2
from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain._pb.cosmos.base.tendermint.v1beta1 import query_pb2 as comet_pb2
from chain._pb.cosmos.base.tendermint.v1beta1 import types_pb2 as sdk_types
from chain._pb.cosmos.crypto.ed25519 import keys_pb2 as ed25519_pb2
from chain._pb.cosmos.tx.v1beta1 import service_pb2, tx_pb2
from chain._pb.tendermint.types import validator_pb2
from chain.client.comet import BlockAnswer, CometClient, CommittedTx, TxPage
from chain.client.errors import RpcError
from chain.client.transaction import compute_tx_hash
from chain.client.wallet import encode_address
from chain.node.services import encode_tx
from chain.runtime.errors import InvalidRequest
from chain.runtime.pagination import OFFSET_MAX

TX_SERVICE: Final = "cosmos.tx.v1beta1.Service"
COMET_SERVICE: Final = "cosmos.base.tendermint.v1beta1.Service"
CONSENSUS_PREFIX: Final = "marginvalcons"
TX_BYTES_MAX: Final = 1 << 20
PAGE_ROWS_MAX: Final = 100
SCANNED_ROWS_MAX: Final = 1_000
_HASH = re.compile(r"(0[xX])?([0-9a-fA-F]{64})")
_IN_MEMPOOL = "tx already exists in cache"
_MEMPOOL_FULL = "mempool is full"
_TX_TYPE_URL: Final = "/cosmos.tx.v1beta1.Tx"
_QUOTED = re.compile(r"'[^']*'")
_CONDITION_KEY = re.compile(r"(?:^|\bAND\b)\s*([^\s<>=]+)")
_KEYS_WITHOUT_EVENT: Final = frozenset({"tx.height", "tx.hash"})

CometHandler = Callable[[CometClient, Any], Awaitable[Message]]


@dataclass(frozen=True, slots=True)
class CometRoute:
    """One method: full path, request type, handler over the node's RPC."""

    path: str
    request: type[Message]
    handler: CometHandler


async def query_get_tx(
    rpc: CometClient, request: service_pb2.GetTxRequest
) -> service_pb2.GetTxResponse:
    """A committed transaction by hash; raises NotFound, InvalidRequest."""
    match = _HASH.fullmatch(request.hash)
    if match is None:
        raise InvalidRequest(f"hash {request.hash[:80]!r} must be 64 hexadecimal digits")
    found = await rpc.tx(match[2])
    header = await rpc.header(found.height)
    return service_pb2.GetTxResponse(
        tx=_decode_tx(found.tx),
        tx_response=build_tx_response(found, header.time.ToJsonString()),
    )


async def query_broadcast_tx(
    rpc: CometClient, request: service_pb2.BroadcastTxRequest
) -> service_pb2.BroadcastTxResponse:
    """CheckTx's answer to a transaction handed to the mempool; raises InvalidRequest."""
    if len(request.tx_bytes) > TX_BYTES_MAX or not request.tx_bytes:
        raise InvalidRequest(
            f"transaction of {len(request.tx_bytes)} bytes; allowed are 1 to {TX_BYTES_MAX}"
        )
    broadcasts = {
        service_pb2.BROADCAST_MODE_SYNC: rpc.broadcast_tx_sync,
        service_pb2.BROADCAST_MODE_ASYNC: rpc.broadcast_tx_async,
    }
    if request.mode not in broadcasts:
        raise InvalidRequest("mode must be BROADCAST_MODE_SYNC or BROADCAST_MODE_ASYNC")
    try:
        result = await broadcasts[request.mode](request.tx_bytes)
    except RpcError as error:
        return service_pb2.BroadcastTxResponse(
            tx_response=_mempool_refusal(request.tx_bytes, error)
        )
    return service_pb2.BroadcastTxResponse(
        tx_response=abci_pb2.TxResponse(
            txhash=result.hash,
            codespace=result.codespace,
            code=result.code,
            data=result.data.hex().upper(),
            raw_log=result.log,
        )
    )


async def query_get_txs_event(
    rpc: CometClient, request: service_pb2.GetTxsEventRequest
) -> service_pb2.GetTxsEventResponse:
    """Transactions whose events match all conditions, one page; raises InvalidRequest."""
    query = request.query or " AND ".join(request.events)
    if not query:
        raise InvalidRequest("query is empty; e.g. tx.height=5 or transfer.sender='margin1…'")
    limit = request.limit or request.pagination.limit or PAGE_ROWS_MAX
    limit = min(limit, PAGE_ROWS_MAX)
    page = request.page or request.pagination.offset // limit + 1
    if (page - 1) * limit > OFFSET_MAX:
        raise InvalidRequest(
            f"page {page} of {limit} begins above row {OFFSET_MAX}; narrow the query, e.g. by "
            f"tx.height>=5"
        )
    is_ascending = request.order_by != service_pb2.ORDER_BY_DESC
    if _matches_more_than_txs(query):
        found = await _search_heights(rpc, query, page, limit, is_ascending=is_ascending)
    else:
        found = await rpc.tx_search(query, page=page, per_page=limit, is_ascending=is_ascending)
    answer = service_pb2.GetTxsEventResponse(
        total=found.total, pagination=pagination_pb2.PageResponse(total=found.total)
    )
    times: dict[int, str] = {}
    for item in found.txs:
        if item.height not in times:
            times[item.height] = (await rpc.header(item.height)).time.ToJsonString()
        answer.txs.append(_decode_tx(item.tx))
        answer.tx_responses.append(build_tx_response(item, times[item.height]))
    return answer


def _matches_more_than_txs(query: str) -> bool:
    """Whether items of blocks that are no transactions may match: these have no event."""
    keys = _CONDITION_KEY.findall(_QUOTED.sub("''", query))
    return all(key in _KEYS_WITHOUT_EVENT for key in keys)


async def _search_heights(
    rpc: CometClient, query: str, page: int, limit: int, *, is_ascending: bool
) -> TxPage:
    """A page of what is a transaction among all that matches, and the count of these.

    CometBFT indexes the votes in front of a block as if they were one. Raises InvalidRequest when
    more than SCANNED_ROWS_MAX items match, and for a page behind the last, as CometBFT does.
    """
    rows: list[CommittedTx] = []
    first = (page - 1) * limit
    total = 0
    for scanned_page in count(1):
        found = await rpc.tx_search(
            query, page=scanned_page, per_page=PAGE_ROWS_MAX, is_ascending=is_ascending
        )
        if found.total > SCANNED_ROWS_MAX:
            raise InvalidRequest(
                f"{found.total} items match; where no event is named at most {SCANNED_ROWS_MAX} "
                f"are read: narrow tx.height, name an event, or ask GetBlockWithTxs"
            )
        for item in found.txs:
            if _try_decode_tx(item.tx) is None:
                continue
            if first <= total < first + limit:
                rows.append(item)
            total += 1
        if scanned_page * PAGE_ROWS_MAX >= found.total:
            break
    if page > 1 and first >= total:
        raise InvalidRequest(f"page {page} of {limit} is behind the last; {total} rows match")
    return TxPage(tuple(rows), total)


async def query_get_block_with_txs(
    rpc: CometClient, request: service_pb2.GetBlockWithTxsRequest
) -> service_pb2.GetBlockWithTxsResponse:
    """A block with its transactions decoded, one page of them."""
    found = await rpc.block(request.height or None)
    decoded = [tx for raw in found.block.data.txs if (tx := _try_decode_tx(raw)) is not None]
    start = request.pagination.offset
    limit = min(request.pagination.limit or PAGE_ROWS_MAX, PAGE_ROWS_MAX)
    return service_pb2.GetBlockWithTxsResponse(
        txs=decoded[start : start + limit],
        block_id=found.block_id,
        block=found.block,
        pagination=pagination_pb2.PageResponse(total=len(decoded)),
    )


async def query_tx_decode(
    rpc: CometClient, request: service_pb2.TxDecodeRequest
) -> service_pb2.TxDecodeResponse:
    """The transaction that bytes encode; raises InvalidRequest."""
    del rpc
    return service_pb2.TxDecodeResponse(tx=_decode_tx(request.tx_bytes))


async def query_tx_encode(
    rpc: CometClient, request: service_pb2.TxEncodeRequest
) -> service_pb2.TxEncodeResponse:
    """The bytes of a transaction given as a message."""
    del rpc
    return service_pb2.TxEncodeResponse(tx_bytes=encode_tx(request.tx))


async def query_get_syncing(
    rpc: CometClient, request: comet_pb2.GetSyncingRequest
) -> comet_pb2.GetSyncingResponse:
    """Whether the node still catches up."""
    del request
    return comet_pb2.GetSyncingResponse(syncing=(await rpc.status()).is_catching_up)


async def query_get_latest_block(
    rpc: CometClient, request: comet_pb2.GetLatestBlockRequest
) -> comet_pb2.GetLatestBlockResponse:
    """The newest block."""
    del request
    found = await rpc.block()
    return comet_pb2.GetLatestBlockResponse(
        block_id=found.block_id, block=found.block, sdk_block=_sdk_block(found)
    )


async def query_get_block_by_height(
    rpc: CometClient, request: comet_pb2.GetBlockByHeightRequest
) -> comet_pb2.GetBlockByHeightResponse:
    """The block at a height; raises InvalidRequest."""
    if request.height < 1:
        raise InvalidRequest(f"height {request.height} must be 1 or above")
    found = await rpc.block(request.height)
    return comet_pb2.GetBlockByHeightResponse(
        block_id=found.block_id, block=found.block, sdk_block=_sdk_block(found)
    )


async def query_get_latest_validator_set(
    rpc: CometClient, request: comet_pb2.GetLatestValidatorSetRequest
) -> comet_pb2.GetLatestValidatorSetResponse:
    """The validators of the newest height."""
    height = (await rpc.status()).latest_height
    rows, page = _validator_page(await rpc.validators(height), request.pagination)
    return comet_pb2.GetLatestValidatorSetResponse(
        block_height=height, validators=rows, pagination=page
    )


async def query_get_validator_set_by_height(
    rpc: CometClient, request: comet_pb2.GetValidatorSetByHeightRequest
) -> comet_pb2.GetValidatorSetByHeightResponse:
    """The validators that sign a height; raises InvalidRequest."""
    if request.height < 1:
        raise InvalidRequest(f"height {request.height} must be 1 or above")
    rows, page = _validator_page(await rpc.validators(request.height), request.pagination)
    return comet_pb2.GetValidatorSetByHeightResponse(
        block_height=request.height, validators=rows, pagination=page
    )


COMET_ROUTES: Final[Mapping[str, CometRoute]] = {
    route.path: route
    for route in (
        CometRoute(f"/{TX_SERVICE}/GetTx", service_pb2.GetTxRequest, query_get_tx),
        CometRoute(
            f"/{TX_SERVICE}/BroadcastTx", service_pb2.BroadcastTxRequest, query_broadcast_tx
        ),
        CometRoute(
            f"/{TX_SERVICE}/GetTxsEvent", service_pb2.GetTxsEventRequest, query_get_txs_event
        ),
        CometRoute(
            f"/{TX_SERVICE}/GetBlockWithTxs",
            service_pb2.GetBlockWithTxsRequest,
            query_get_block_with_txs,
        ),
        CometRoute(f"/{TX_SERVICE}/TxDecode", service_pb2.TxDecodeRequest, query_tx_decode),
        CometRoute(f"/{TX_SERVICE}/TxEncode", service_pb2.TxEncodeRequest, query_tx_encode),
        CometRoute(f"/{COMET_SERVICE}/GetSyncing", comet_pb2.GetSyncingRequest, query_get_syncing),
        CometRoute(
            f"/{COMET_SERVICE}/GetLatestBlock",
            comet_pb2.GetLatestBlockRequest,
            query_get_latest_block,
        ),
        CometRoute(
            f"/{COMET_SERVICE}/GetBlockByHeight",
            comet_pb2.GetBlockByHeightRequest,
            query_get_block_by_height,
        ),
        CometRoute(
            f"/{COMET_SERVICE}/GetLatestValidatorSet",
            comet_pb2.GetLatestValidatorSetRequest,
            query_get_latest_validator_set,
        ),
        CometRoute(
            f"/{COMET_SERVICE}/GetValidatorSetByHeight",
            comet_pb2.GetValidatorSetByHeightRequest,
            query_get_validator_set_by_height,
        ),
    )
}
"""Every method that needs CometBFT, by path."""


def build_tx_response(found: CommittedTx, timestamp: str) -> abci_pb2.TxResponse:
    """The Cosmos form of a committed transaction's result; timestamp is its block's, RFC 3339."""
    result = found.result
    return abci_pb2.TxResponse(
        height=found.height,
        txhash=found.hash,
        codespace=result.codespace,
        code=result.code,
        data=result.data.hex().upper(),
        raw_log=result.log,
        info=result.info,
        gas_wanted=result.gas_wanted,
        gas_used=result.gas_used,
        tx=any_pb2.Any(type_url=_TX_TYPE_URL, value=found.tx),
        timestamp=timestamp,
        events=result.events,
    )


def _mempool_refusal(tx: bytes, error: RpcError) -> abci_pb2.TxResponse:
    """The answer to a transaction CometBFT's mempool refused before CheckTx, in the SDK's codes."""
    text = str(error.fields.get("data", ""))
    if _IN_MEMPOOL in text:
        code, log = 19, "tx already in mempool"
    elif _MEMPOOL_FULL in text:
        code, log = 20, "mempool is full; send again later or with a higher fee"
    else:
        raise error
    return abci_pb2.TxResponse(txhash=compute_tx_hash(tx), codespace="sdk", code=code, raw_log=log)


def _try_decode_tx(raw: bytes) -> tx_pb2.Tx | None:
    try:
        return _decode_tx(raw)
    except InvalidRequest:
        return None


def _decode_tx(raw: bytes) -> tx_pb2.Tx:
    try:
        outer = tx_pb2.TxRaw.FromString(raw)
        tx = tx_pb2.Tx(
            body=tx_pb2.TxBody.FromString(outer.body_bytes),
            auth_info=tx_pb2.AuthInfo.FromString(outer.auth_info_bytes),
            signatures=outer.signatures,
        )
    except DecodeError as error:
        raise InvalidRequest(f"{len(raw)} bytes are not a transaction: {error}") from error
    if not tx.body.messages:
        raise InvalidRequest("a transaction carries at least one message")
    return tx


def _sdk_block(found: BlockAnswer) -> sdk_types.Block:
    """The SDK's form of a block: the proposer as a bech32 text."""
    header = found.block.header
    fields: dict[str, Any] = {
        field.name: value
        for field, value in header.ListFields()
        if field.name != "proposer_address"
    }
    return sdk_types.Block(
        header=sdk_types.Header(
            **fields, proposer_address=encode_address(header.proposer_address, CONSENSUS_PREFIX)
        ),
        data=found.block.data,
        evidence=found.block.evidence,
        last_commit=found.block.last_commit,
    )


def _validator_page(
    validators: validator_pb2.ValidatorSet, page: pagination_pb2.PageRequest
) -> tuple[list[comet_pb2.Validator], pagination_pb2.PageResponse]:
    limit = min(page.limit or PAGE_ROWS_MAX, PAGE_ROWS_MAX)
    rows = validators.validators[page.offset : page.offset + limit]
    return [_validator(row) for row in rows], pagination_pb2.PageResponse(
        total=len(validators.validators)
    )


def _validator(row: validator_pb2.Validator) -> comet_pb2.Validator:
    key = any_pb2.Any(
        type_url="/cosmos.crypto.ed25519.PubKey",
        value=ed25519_pb2.PubKey(key=row.pub_key.ed25519).SerializeToString(),
    )
    return comet_pb2.Validator(
        address=encode_address(row.address, CONSENSUS_PREFIX),
        pub_key=key,
        voting_power=row.voting_power,
        proposer_priority=row.proposer_priority,
    )
