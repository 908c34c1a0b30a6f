"""What the ABCI socket costs a transaction: CheckTx and FinalizeBlock over both kinds of socket.

The application answers at once, so that framing, protobuf, threads and sockets are all that is
measured. CPU is that of the serving process; the client runs in a process of its own and counts
wall time.
    python benchmarks/bench_abci.py [--transactions 50000]
"""

import argparse
import multiprocessing
import resource
import socket
import tempfile
import threading
import time
from multiprocessing.connection import Connection

from chain._pb.tendermint.abci import types_pb2 as abci
from chain.node.abci import AbciServer
from chain.node.abci_wire import AbciAddress, FrameBuffer, encode_uvarint

TX_BYTES = 250
BLOCK_TXS = 2000
SOCKET_BUFFER_BYTES = 16_384
WINDOW_TXS = 256  # CometBFT's request queue.


class Instant:
    """Answers at once what a bank transfer would be answered."""

    def check_tx(self, request: abci.RequestCheckTx) -> abci.ResponseCheckTx:
        """A transaction that is fine."""
        del request
        return abci.ResponseCheckTx(gas_wanted=100_000, gas_used=60_000)

    def finalize_block(self, request: abci.RequestFinalizeBlock) -> abci.ResponseFinalizeBlock:
        """A result with three events a transaction."""
        events = [
            abci.Event(
                type=kind,
                attributes=[
                    abci.EventAttribute(key=key, value="margin1" + "q" * 38, index=True)
                    for key in ("sender", "recipient", "amount")
                ],
            )
            for kind in ("transfer", "coin_spent", "coin_received")
        ]
        result = abci.ExecTxResult(gas_wanted=100_000, gas_used=60_000, events=events)
        return abci.ResponseFinalizeBlock(tx_results=[result] * len(request.txs))


def make_frame(request: abci.Request) -> bytes:
    """One request as CometBFT writes it."""
    data = request.SerializeToString()
    return encode_uvarint(len(data)) + data


def connect(address: str) -> socket.socket:
    """A client connection."""
    parsed = AbciAddress.parse(address)
    if parsed.path is None:
        return socket.create_connection((parsed.host, parsed.port))
    client = socket.socket(socket.AF_UNIX)
    client.connect(parsed.path)
    return client


def ask(client: socket.socket, buffer: FrameBuffer, requests: bytes, count: int) -> None:
    """Send framed requests, and take as many answers."""
    sender = None
    if len(requests) < SOCKET_BUFFER_BYTES:
        client.sendall(requests)  # Fits without anybody reading.
    else:
        sender = threading.Thread(target=client.sendall, args=(requests,))
        sender.start()
    while count:
        if buffer.take() is not None:
            count -= 1
        else:
            buffer.feed(client.recv(1 << 18))
    if sender is not None:
        sender.join()


def serve(address: str, pipe: Connection) -> None:
    """The serving process: reports its CPU seconds whenever asked."""
    server = AbciServer(Instant(), address)  # type: ignore[arg-type]  # the two calls measured
    server.start()
    pipe.send(server.address)
    while pipe.recv():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        pipe.send(usage.ru_utime + usage.ru_stime)
    server.stop()


def measure(address: str, transactions: int) -> None:
    """Print the figures of one transport."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(address, theirs))
    process.start()
    client = connect(ours.recv())
    buffer = FrameBuffer()
    tx = b"x" * TX_BYTES
    flush = make_frame(abci.Request(flush=abci.RequestFlush()))
    checks = make_frame(abci.Request(check_tx=abci.RequestCheckTx(tx=tx))) * WINDOW_TXS + flush
    single = make_frame(abci.Request(check_tx=abci.RequestCheckTx(tx=tx))) + flush
    block = make_frame(
        abci.Request(finalize_block=abci.RequestFinalizeBlock(txs=[tx] * BLOCK_TXS, height=1))
    )
    cases = (
        ("CheckTx, pipelined by 256", checks, WINDOW_TXS + 1, WINDOW_TXS),
        ("CheckTx, one at a time", single, 2, 1),
        ("FinalizeBlock of 2000", block + flush, 2, BLOCK_TXS),
    )
    for name, requests, answers, txs in cases:
        rounds = max(1, min(transactions, transactions if txs > 1 else 5000) // txs)
        ask(client, buffer, requests, answers)
        ours.send("cpu")
        cpu = ours.recv()
        start = time.perf_counter()
        for _ in range(rounds):
            ask(client, buffer, requests, answers)
        wall = time.perf_counter() - start
        ours.send("cpu")
        cpu = ours.recv() - cpu
        scale = 1e6 / (rounds * txs)
        print(
            f"{address.partition(':')[0]:5} {name:26} "
            f"{cpu * scale:7.1f} µs CPU   {wall * scale:7.1f} µs wall a transaction"
        )
    client.close()
    ours.send("")
    process.join()


def main() -> None:
    """Both transports in one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=50_000)
    transactions = parser.parse_args().transactions
    with tempfile.TemporaryDirectory() as folder:
        for address in (f"unix://{folder}/abci.sock", "tcp://127.0.0.1:0"):
            measure(address, transactions)


if __name__ == "__main__":
    main()
