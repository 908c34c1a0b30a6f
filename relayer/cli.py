"""mrelay: the relayer's command line: long flags, tables on a terminal, JSON when piped."""

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import structlog
import typer
from rich.console import Console
from rich.table import Table

from chain.client.errors import InvalidKey
from chain.client.wallet import Keyring, KeyringBackend, Wallet, generate_mnemonic
from chain.errors import ChainError
from relayer.clients import fetch_client
from relayer.config import Config, ConfigError, PathSection, load_config, write_sample
from relayer.handshake import HandshakeStuck
from relayer.journal import Journal
from relayer.packets import Direction
from relayer.plan import DirectionSnapshot, Owed, RelayLimits, compute_owed
from relayer.supervisor import Relayer
from relayer.worker import PathWorker

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Relay IBC packets between chains.")
config_app = typer.Typer(no_args_is_help=True, help="Write and check the configuration.")
keys_app = typer.Typer(no_args_is_help=True, help="Keys that pay the fees.")
query_app = typer.Typer(no_args_is_help=True, help="Ask what is owed.")
app.add_typer(config_app, name="config")
app.add_typer(keys_app, name="keys")
app.add_typer(query_app, name="query")

EXIT_REFUSED = 1
CLEAR_ROUNDS_MAX = 100
CLEAR_PAUSE_S = 0.5


class Settings:
    """What the global flags say."""

    home = Path("~/.mrelay").expanduser()
    output = "text"
    keyring_backend = KeyringBackend.TEST


SETTINGS = Settings()


@app.callback()
def read_flags(
    home: Annotated[
        Path, typer.Option(envvar="MRELAY_HOME", help="Folder of configuration, keys and journal.")
    ] = Path("~/.mrelay"),
    output: Annotated[str, typer.Option(help="text or json; json when piped.")] = "",
    keyring_backend: Annotated[
        KeyringBackend, typer.Option(envvar="MRELAY_KEYRING_BACKEND", help="test or file.")
    ] = KeyringBackend.TEST,
) -> None:
    """Relay IBC packets between chains."""
    if output not in ("", "text", "json"):
        raise typer.BadParameter(f"--output {output!r} must be text or json")
    SETTINGS.home = home.expanduser()
    SETTINGS.output = output or ("text" if sys.stdout.isatty() else "json")
    SETTINGS.keyring_backend = keyring_backend
    configure_logging("warning")


def configure_logging(level: str) -> None:
    """Log to stderr, so that stdout carries a command's answer alone; JSON unless on a terminal."""
    levels = {"debug": 10, "info": 20, "warning": 30, "error": 40}
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer()
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def config_path() -> Path:
    """Where the configuration is."""
    return SETTINGS.home / "config.toml"


def show(rows: list[dict[str, Any]] | dict[str, Any]) -> None:
    """Print rows as a table, or everything as JSON."""
    if SETTINGS.output == "json":
        print(json.dumps(rows, indent=2))  # noqa: T201  (this is the program's output)
        return
    listed = rows if isinstance(rows, list) else [rows]
    table = Table()
    for column in listed[0] if listed else ():
        table.add_column(column)
    for row in listed:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def fail(error: Exception) -> typer.Exit:
    """Say on stderr what was refused and exit with a code above zero."""
    Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False)
    return typer.Exit(EXIT_REFUSED)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; every expected refusal becomes an error line and an exit code."""
    try:
        return asyncio.run(work)
    except (ChainError, ConfigError, HandshakeStuck, LookupError, OSError) as error:
        raise fail(error) from error


def load() -> Config:
    """The checked configuration, or an error line."""
    try:
        return load_config(config_path())
    except ConfigError as error:
        raise fail(error) from error


def open_keyring() -> Keyring:
    """The keyring of the home folder."""
    return Keyring(
        SETTINGS.home,
        SETTINGS.keyring_backend,
        lambda prompt: typer.prompt(prompt, hide_input=True),
    )


def open_relayer(config: Config) -> Relayer:
    """The relayer of the configuration, or an error line."""
    try:
        return Relayer(config, config_path(), open_keyring())
    except ChainError as error:
        raise fail(error) from error


def open_journal() -> Journal:
    """The journal of the home folder; a second process on it is refused."""
    try:
        return Journal(SETTINGS.home / "journal")
    except OSError as error:
        raise fail(error) from error


@config_app.command("init")
def config_init() -> None:
    """Write a sample configuration that states every default."""
    try:
        write_sample(config_path())
    except ConfigError as error:
        raise fail(error) from error
    show({"written": str(config_path())})


@config_app.command("validate")
def config_validate() -> None:
    """Check the configuration; a fault is named by file and line."""
    config = load()
    show({"valid": True, "chains": len(config.chains), "paths": len(config.paths)})


@config_app.command("show")
def config_show() -> None:
    """Print the configuration with all defaults filled in."""
    print(load().model_dump_json(indent=2, by_alias=True))  # noqa: T201  (program output)


@keys_app.command("add")
def keys_add(
    name: Annotated[str, typer.Option(help="Name of the key.")],
    mnemonic_file: Annotated[
        Path | None, typer.Option(help="File with a BIP-39 mnemonic; a new one without.")
    ] = None,
) -> None:
    """Add a key from a mnemonic, or make one and print its mnemonic once."""
    mnemonic = mnemonic_file.read_text().strip() if mnemonic_file else generate_mnemonic()
    try:
        record = open_keyring().add(name, Wallet.from_mnemonic(mnemonic))
    except ChainError as error:
        raise fail(error) from error
    row = {"name": record.name, "address": str(record.address)}
    if mnemonic_file is None:
        row["mnemonic"] = mnemonic
    show(row)


@keys_app.command("list")
def keys_list() -> None:
    """List the keys."""
    show([{"name": key.name, "address": str(key.address)} for key in open_keyring().list()])


@keys_app.command("balance")
def keys_balance() -> None:
    """Show what the key of each chain can still pay; exit 1 when one is empty or unknown."""
    relayer = open_relayer(load())

    async def ask() -> list[dict[str, Any]]:
        rows = []
        for chain_id, endpoint in relayer.endpoints.items():
            row: dict[str, Any] = {
                "chain": chain_id,
                "address": relayer.submitters[chain_id].address,
                "denom": endpoint.section.fee_denom,
                "balance": None,
            }
            try:
                row["balance"] = str(await relayer.query_balance(chain_id))
            except (ChainError, TimeoutError) as error:
                row["error"] = str(error)
            rows.append(row)
        await relayer.aclose()
        return rows

    rows = run(ask())
    show(rows)
    if any(row["balance"] in (None, "0") for row in rows):
        raise typer.Exit(EXIT_REFUSED)


@keys_app.command("delete")
def keys_delete(name: Annotated[str, typer.Option(help="Name of the key.")]) -> None:
    """Remove a key for good."""
    try:
        open_keyring().delete(name)
    except InvalidKey as error:
        raise fail(error) from error
    show({"deleted": name})


@app.command("health-check")
def health_check() -> None:
    """Prove every dependency: RPC, chain id, index, key, balance, clients; exit 1 on a fault."""
    config = load()
    relayer = open_relayer(config)

    async def check() -> list[dict[str, Any]]:
        rows = []
        for chain_id, endpoint in relayer.endpoints.items():
            row: dict[str, Any] = {"chain": chain_id, "healthy": False, "height": 0, "balance": 0}
            try:
                tip = await endpoint.latest()
                status = await endpoint.ask("status", lambda client: client.status())
                balance = await relayer.query_balance(chain_id)
                row |= {"height": tip.height, "balance": balance}
                faults = []
                if status.is_catching_up:
                    faults.append("the node is catching up")
                if status.tx_index != "on":
                    faults.append("tx_index is off: set indexer = kv")
                if not balance:
                    faults.append(f"{relayer.submitters[chain_id].address} has no fee balance")
                row |= {"healthy": not faults, "faults": "; ".join(faults)}
            except (ChainError, TimeoutError) as error:
                row["faults"] = str(error)
            rows.append(row)
        for path in config.paths:
            rows += await check_clients(relayer, path.name)
        await relayer.aclose()
        return rows

    rows = run(check())
    show(rows)
    if not all(row["healthy"] for row in rows):
        raise typer.Exit(EXIT_REFUSED)


async def check_clients(relayer: Relayer, name: str) -> list[dict[str, Any]]:
    """Whether both clients of a linked path can still be updated."""
    path = relayer.config.get_path(name)
    rows = []
    for chain_id, client_id in ((path.a_chain, path.a_client), (path.b_chain, path.b_client)):
        row: dict[str, Any] = {"chain": f"{chain_id} {client_id or '(not linked)'}"}
        row |= {"healthy": bool(client_id), "height": 0, "balance": 0, "faults": ""}
        if not client_id:
            row["faults"] = f"run `mrelay link --path {name}`"
        else:
            try:
                endpoint = relayer.endpoints[chain_id]
                view = await fetch_client(endpoint, client_id)
                row["height"] = view.latest_height.revision_height
                view.validate_usable((await endpoint.latest()).time_ns)
            except (ChainError, TimeoutError) as error:
                row |= {"healthy": False, "faults": str(error)}
        rows.append(row)
    return rows


async def link_in_turn(
    relayer: Relayer, names: list[str], report: Callable[[str, str], None]
) -> list[dict[str, Any]]:
    """Link the named paths one after the other; a row of ids for each."""
    return [{"path": name, **await relayer.link(name, partial(report, name))} for name in names]


@app.command("link")
def link(
    path: Annotated[list[str], typer.Option(help="Path to link; all when left out.")] = [],  # noqa: B006  (typer reads it)
) -> None:
    """Create the clients, connection and channel that paths lack and write their ids down."""
    config = load()
    relayer = open_relayer(config)
    console = Console(stderr=True)

    def report(name: str, line: str) -> None:
        console.print(f"{name}: {line}", highlight=False)

    async def do() -> list[dict[str, Any]]:
        pairs: dict[frozenset[str], list[str]] = {}
        for name in path or [section.name for section in config.paths]:
            section = config.get_path(name)
            pairs.setdefault(frozenset((section.a_chain, section.b_chain)), []).append(name)
        # Pairs of chains side by side, since most of a handshake is waiting for the next block;
        # paths of one pair in turn, or both would take up the same half-made end.
        linked = await asyncio.gather(*(link_in_turn(relayer, pairs[p], report) for p in pairs))
        await relayer.aclose()
        return [row for rows in linked for row in rows]

    show(run(do()))


@app.command("start")
def start() -> None:
    """Relay all paths until SIGINT or SIGTERM."""
    config = load()
    configure_logging(config.general.log_level)
    relayer = open_relayer(config)
    journal = open_journal()
    try:
        workers = relayer.build_workers(journal)
    except ConfigError as error:
        raise fail(error) from error

    async def relay() -> None:
        task = asyncio.ensure_future(relayer.run(journal, workers))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            structlog.get_logger("relayer").info("stopped")
        finally:
            await relayer.aclose()
            journal.close()

    run(relay())


async def snapshot_all(direction: Direction) -> DirectionSnapshot | None:
    """What both chains say of every packet a direction owes; None when it owes none."""
    await direction.clear()
    sequences = sorted(direction.outstanding)
    if not sequences:
        return None
    tips = await asyncio.gather(
        direction.source.endpoint.latest(), direction.destination.endpoint.latest()
    )
    snapshot = await direction.take_snapshot(*tips, sequences)
    unknown = [s for s in sequences if s not in snapshot.packets]
    unacknowledged = [
        s for s in sequences if s not in snapshot.unreceived and s not in snapshot.acknowledgements
    ]
    await direction.lookup.find(unknown, unacknowledged)
    return await direction.take_snapshot(*tips, sequences)


def explain_row(direction: Direction, snapshot: DirectionSnapshot, sequence: int) -> dict[str, Any]:
    """One line on a packet: what it is owed and why."""
    owed, reason = compute_owed(snapshot, sequence, RelayLimits(direction.path.data_bytes_max))
    row: dict[str, Any] = {
        "path": direction.path.name,
        "from": direction.source.chain_id,
        "to": direction.destination.chain_id,
        "channel": direction.source.channel,
        "sequence": sequence,
        "owed": owed.value,
        "reason": reason,
    }
    payer = direction.destination if owed is Owed.RECEIVE else direction.source
    if owed is not Owed.NOTHING:
        row["reason"] += f"; goes to {payer.chain_id}, paid by {payer.submitter.address}"
    return row


async def list_pending(relayer: Relayer, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row for each packet without a final answer."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal")
        for worker in relayer.build_workers(journal, names):
            for direction in worker.directions:
                snapshot = await snapshot_all(direction)
                if snapshot is not None:
                    owed = sorted(snapshot.commitments)
                    rows += [explain_row(direction, snapshot, sequence) for sequence in owed]
        journal.close()
    await relayer.aclose()
    return rows


@query_app.command("pending")
def query_pending(
    path: Annotated[list[str], typer.Option(help="Name of a path; all when left out.")] = [],  # noqa: B006  (typer reads it)
) -> None:
    """List the packets without a final answer, what each is owed and why."""
    config = load()
    for name in path:
        require_path(config, name)
    show(run(list_pending(open_relayer(config), tuple(path))))


@query_app.command("clients")
def query_clients() -> None:
    """List the clients of all linked paths: height, age, seconds until each expires, status."""
    config = load()
    relayer = open_relayer(config)

    async def ask() -> list[dict[str, Any]]:
        rows = []
        for path in config.paths:
            for chain_id, client_id, trusted in (
                (path.a_chain, path.a_client, path.b_chain),
                (path.b_chain, path.b_client, path.a_chain),
            ):
                if client_id:
                    rows.append(await describe_client(relayer, chain_id, client_id, trusted))
        await relayer.aclose()
        return rows

    show(run(ask()))


async def describe_client(
    relayer: Relayer, chain_id: str, client_id: str, trusted: str
) -> dict[str, Any]:
    """One row of a client as its host chain stores it."""
    endpoint = relayer.endpoints[chain_id]
    view = await fetch_client(endpoint, client_id)
    now_ns = (await endpoint.latest()).time_ns
    age_s = max(0, now_ns - view.consensus_time_ns) // 1_000_000_000
    expires_in_s = view.trusting_period_ns // 1_000_000_000 - age_s
    status = "frozen" if view.is_frozen else "expired" if expires_in_s <= 0 else "active"
    return {
        "chain": chain_id,
        "client": client_id,
        "trusted_chain": trusted,
        "height": view.latest_height.revision_height,
        "age_s": age_s,
        "expires_in_s": expires_in_s,
        "status": status,
    }


@app.command("explain")
def explain(
    path: Annotated[str, typer.Option(help="Name of the path.")],
    chain: Annotated[str, typer.Option(help="Chain that sent the packet.")],
    sequence: Annotated[int, typer.Option(min=1, help="Sequence of the packet.")],
) -> None:
    """Say in one line why a packet is not relayed (yet), or that it is settled."""
    config = load()
    section = require_path(config, path)
    if chain not in (section.a_chain, section.b_chain):
        raise fail(ConfigError(f"path {path!r} joins {section.a_chain} and {section.b_chain}"))
    relayer = open_relayer(config)
    rows = run(list_pending(relayer, (path,)))
    for row in rows:
        if (row["from"], row["sequence"]) == (chain, sequence):
            show(row)
            return
    is_a = chain == section.a_chain
    show(
        {
            "path": path,
            "from": chain,
            "to": section.b_chain if is_a else section.a_chain,
            "channel": section.a_channel if is_a else section.b_channel,
            "sequence": sequence,
            "owed": Owed.NOTHING.value,
            "reason": "the source holds no commitment: it is settled, or was never sent",
        }
    )


def require_path(config: Config, name: str) -> PathSection:
    """The section of a path, or an error line."""
    try:
        return config.get_path(name)
    except ConfigError as error:
        raise fail(error) from error


@app.command("clear")
def clear(path: Annotated[str, typer.Option(help="Name of the path.")]) -> None:
    """Relay everything a path owes now, then stop. Use it while no relayer runs on this home."""
    config = load()
    require_path(config, path)
    relayer = open_relayer(config)
    journal = open_journal()

    async def do() -> dict[str, Any]:
        worker = relayer.build_workers(journal, (path,))[0]
        rounds = await clear_worker(worker)
        left = sum(len(direction.outstanding) for direction in worker.directions)
        await relayer.aclose()
        return {"path": path, "rounds": rounds, "left": left}

    outcome = run(do())
    show(outcome)
    if outcome["left"]:
        raise typer.Exit(EXIT_REFUSED)


async def clear_worker(worker: PathWorker) -> int:
    """Rounds until nothing is owed, or CLEAR_ROUNDS_MAX of them; how many it took."""
    for rounds in range(1, CLEAR_ROUNDS_MAX + 1):
        for direction in worker.directions:
            await direction.clear()
            direction.look_again()
        await worker.relay_once()
        for direction in worker.directions:
            await direction.drain()
            await direction.lookup.wait()
        if not any(direction.outstanding for direction in worker.directions):
            return rounds
        await asyncio.sleep(CLEAR_PAUSE_S)
    return CLEAR_ROUNDS_MAX


def main() -> None:
    """The entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
