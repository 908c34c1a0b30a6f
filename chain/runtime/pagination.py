"""Pages of a store: the PageRequest of the Cosmos SDK, with a limit on rows."""

from typing import Any, Final

from chain._pb.cosmos.base.query.v1beta1 import pagination_pb2
from chain.runtime.errors import InvalidRequest
from chain.runtime.store import StoreView, prefix_end

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 1_000
OFFSET_MAX: Final = 100_000


def get_page(
    view: StoreView, prefix: bytes, request: Any
) -> tuple[list[tuple[bytes, bytes]], pagination_pb2.PageResponse]:
    """One page of the pairs under a prefix (keys without it), and where the next begins.

    More than LIMIT_MAX rows are cut to it (Hermes asks for 2^32-1). Raises InvalidRequest when both
    key and offset are given, or the offset is above OFFSET_MAX: continue by key instead.
    """
    start, end = _compute_bounds(prefix, request)
    limit = min(request.limit or LIMIT_DEFAULT, LIMIT_MAX)
    rows: list[tuple[bytes, bytes]] = []
    page = pagination_pb2.PageResponse()
    count_total = request.count_total and not request.key
    seen = 0
    for key, value in view.iterate_range(start, end, reverse=request.reverse):
        seen += 1
        if seen <= request.offset:
            continue
        if len(rows) < limit:
            rows.append((key[len(prefix) :], value))
            continue
        if not page.next_key:
            page.next_key = key[len(prefix) :]
        if not count_total:
            break
    if count_total:
        page.total = seen
    return rows, page


def _compute_bounds(prefix: bytes, request: Any) -> tuple[bytes, bytes | None]:
    """The range of keys the page lies in; raises InvalidRequest."""
    if request.key and request.offset:
        raise InvalidRequest("pagination takes a key or an offset, not both")
    if request.offset > OFFSET_MAX:
        raise InvalidRequest(f"offset {request.offset} is above {OFFSET_MAX}; continue by key")
    if request.key and request.reverse:
        return prefix, prefix + request.key + b"\x00"
    return prefix + request.key, prefix_end(prefix)
