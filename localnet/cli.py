"""mlocalnet: a local network in one command, and the story it can play."""

import asyncio
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from localnet.deployment import Localnet, LocalnetOptions, ensure_localnet
from localnet.network import DEFAULT_ROOT
from localnet.topology import DEFAULT_VALIDATORS

app = typer.Typer(
    name="mlocalnet",
    help="Run the margin chain, two collateral chains and their relayer on this machine. "
    "The keys are public: UNSAFE for anything of value.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

RootOption = Annotated[
    Path, typer.Option("--root", envvar="MLOCALNET_ROOT", help="Folder of the network.")
]
OutputOption = Annotated[
    str, typer.Option("--output", help="text or json; json when piped.", metavar="text|json")
]
EXIT_REFUSED = 1
_FOLLOW_S = 0.3
_LOG_BYTES = 16_384
_VALIDATORS_MAX = 20
_DEMO_ROOT = Path(".localnet-demo")
_INTEROP_ROOT = Path(".localnet-interop")
_DEMO_REPORT = Path("demo-report.json")

_console = Console(stderr=True, highlight=False)


def _is_json(output: str) -> bool:
    if output not in ("", "text", "json"):
        raise typer.BadParameter(f"--output {output!r} must be text or json")
    return output == "json" or (output == "" and not sys.stdout.isatty())


def _print_json(document: object) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


@contextmanager
def _refusals() -> Iterator[None]:
    """Turns every expected failure into an error line and exit code 1."""
    from httpx2 import HTTPError  # noqa: PLC0415  (slow to import; `--help` does not need it)

    from chain.errors import ChainError  # noqa: PLC0415

    try:
        yield
    except (ChainError, HTTPError, OSError, RuntimeError, KeyError, ValueError) as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        _console.print(f"error: {text}", style="red", markup=False)
        raise typer.Exit(EXIT_REFUSED) from error


class ProgressLine:
    """What is being done, with the time since the start: one line an event."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, text: str) -> None:
        """Say it."""
        _console.print(f"[dim]{time.monotonic() - self._started:6.1f} s[/dim]  {text}")


@app.command()
def up(
    *,
    is_foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay and bring back what dies, until Ctrl-C.")
    ] = False,
    is_fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew: what the folder holds is removed.")
    ] = False,
    validators: Annotated[
        str, typer.Option("--validators", help="How many, e.g. 2,1,1 for hub, alpha, beta.")
    ] = "4,2,2",
    root: RootOption = DEFAULT_ROOT,
    output: OutputOption = "",
) -> None:
    """Start the network: nodes, feed, relayer, channels. Run again, it starts what is missing."""
    is_json = _is_json(output)
    with _refusals():
        progress = ProgressLine()
        with _terminable():
            options = LocalnetOptions(validators=_parse_validators(validators))
            localnet = ensure_localnet(root, options, is_fresh=is_fresh, progress=progress)
            try:
                localnet.up(progress)
            except KeyboardInterrupt:
                localnet.down()
                raise
        if is_json:
            _print_json({**localnet.describe(), "accounts": _list_accounts()})
        else:
            _show_status(localnet)
            _show_accounts()
            _show_next_commands(localnet)
        if is_foreground:
            _stay(localnet, progress)


def _parse_validators(text: str) -> dict[str, int]:
    counts = [int(word) if word.isdecimal() else 0 for word in text.split(",")]
    if len(counts) != len(DEFAULT_VALIDATORS) or not all(0 < n <= _VALIDATORS_MAX for n in counts):
        raise typer.BadParameter(
            f"--validators {text!r} must be three numbers from 1 to {_VALIDATORS_MAX}, as 4,2,2"
        )
    return dict(zip(DEFAULT_VALIDATORS, counts, strict=True))


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM is Ctrl-C inside the block."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stay(localnet: Localnet, progress: ProgressLine) -> None:
    """Supervise until SIGINT or SIGTERM, then stop everything."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    progress("everything runs; Ctrl-C stops it")
    localnet.supervise(stop, progress)
    progress("stopping")
    localnet.down()
    progress("stopped; `mlocalnet up` goes on from here, `mlocalnet down --remove` deletes it")


@app.command()
def down(
    *,
    is_removing: Annotated[
        bool, typer.Option("--remove", help="Delete the folder of the network, too.")
    ] = False,
    root: RootOption = DEFAULT_ROOT,
    output: OutputOption = "",
) -> None:
    """Stop every process of the network; the homes stay."""
    is_json = _is_json(output)
    with _refusals():
        localnet = Localnet.open(root)
        if is_removing:
            localnet.remove()
        else:
            localnet.down()
        if is_json:
            _print_json({"root": str(localnet.root), "stopped": True, "removed": is_removing})
        else:
            _console.print("removed" if is_removing else "stopped")


@app.command()
def status(root: RootOption = DEFAULT_ROOT, output: OutputOption = "") -> None:
    """Show every process; exit 1 when one of them does not run."""
    is_json = _is_json(output)
    with _refusals():
        localnet = Localnet.open(root)
        document = localnet.describe()
    if is_json:
        _print_json(document)
    else:
        _show_status(localnet)
    rows = [*document["nodes"], *document["services"]]
    if any(row["state"] != "running" for row in rows):
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A node, relayer, feed, link or links.")],
    *,
    is_following: Annotated[bool, typer.Option("-f", "--follow", help="Go on.")] = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Print the end of a process's logs."""
    with _refusals():
        paths = Localnet.open(root).find_logs(name)
    ends = {}
    for path in paths:
        start = max(0, path.stat().st_size - _LOG_BYTES)
        ends[path] = _print_from(path, start, f"==> {path} <==\n" if len(paths) > 1 else "")
    try:
        while is_following:
            time.sleep(_FOLLOW_S)
            for path in paths:
                ends[path] = _print_from(path, ends[path], "")
    except KeyboardInterrupt:
        return


def _print_from(path: Path, start: int, title: str) -> int:
    """Print a file from an offset; where it ends."""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read()
    sys.stdout.write(title + data.decode(errors="replace"))
    sys.stdout.flush()
    return start + len(data)


@app.command()
def faucet(
    address: Annotated[str, typer.Argument(help="Who gets the coins; a name of `up` will do.")],
    amount: Annotated[str, typer.Argument(help="Like 10 ETH, 500 USDC, 1000000umargin.")],
    *,
    chain: Annotated[str, typer.Option("--chain", help="Which chain pays.")] = "hub-1",
    root: RootOption = DEFAULT_ROOT,
    output: OutputOption = "",
) -> None:
    """Give coins to an address."""
    is_json = _is_json(output)
    from localnet.faucet import give  # noqa: PLC0415  (gRPC is slow to import)

    with _refusals():
        outcome = asyncio.run(give(Localnet.open(root), chain, address, amount))
    if is_json:
        _print_json(outcome)
    else:
        _console.print(
            f"{outcome['amount']} to {outcome['address']} on {chain} at height {outcome['height']}"
        )


@app.command()
def cometbft(output: OutputOption = "") -> None:
    """Find CometBFT or build it, and print where it is."""
    is_json = _is_json(output)
    from localnet.cometbft import COMETBFT_VERSION, ensure_cometbft  # noqa: PLC0415

    with _refusals():
        path = ensure_cometbft(ProgressLine())
    if is_json:
        _print_json({"path": str(path), "version": COMETBFT_VERSION})
    else:
        typer.echo(path)


@app.command()
def accounts(output: OutputOption = "") -> None:
    """List the named accounts with their mnemonics: public, UNSAFE."""
    if _is_json(output):
        _print_json(_list_accounts())
    else:
        _show_accounts(has_mnemonics=True)


@app.command()
def spot(root: RootOption = DEFAULT_ROOT, output: OutputOption = "") -> None:
    """Let alpha's ETH be traded on the hub: a transfer channel and the spot market of its voucher.

    Run again, it changes nothing.
    """
    is_json = _is_json(output)
    with _refusals():
        localnet = Localnet.open(root)
        opened = localnet.open_spot(ProgressLine())
    if is_json:
        _print_json(opened)
    else:
        for name, value in opened.items():
            _console.print(f"{name}: {value}")


@app.command()
def demo(
    *,
    report: Annotated[
        Path, typer.Option("--report", help="Where to write the report.")
    ] = _DEMO_REPORT,
    is_kept: Annotated[
        bool, typer.Option("--keep", help="Leave the network running at the end.")
    ] = False,
    root: RootOption = _DEMO_ROOT,
    output: OutputOption = "",
) -> None:
    """Play the story: collateral on two chains, one account, a crash, a liquidation over chains.

    Exit 0 only when every identity of the report holds. Piped, the story is told on standard error.
    """
    is_json = _is_json(output)
    from localnet.demo.run import play_demo  # noqa: PLC0415  (the story imports every client)

    with _refusals(), _terminable():
        console = Console(highlight=False, stderr=is_json)
        document = play_demo(root, report, console, is_kept=is_kept)
    if is_json:
        summary = {key: document[key] for key in ("holds", "duration_s")}
        _print_json({**summary, "report": str(report)})
    if not document["holds"]:
        raise typer.Exit(EXIT_REFUSED)


@app.command()
def interop(
    *,
    client: Annotated[
        str, typer.Option("--client", help="Only scenarios of this client, e.g. hermes.")
    ] = "",
    only: Annotated[
        str, typer.Option("--only", help="Only scenarios with this text in their name.")
    ] = "",
    root: Annotated[
        Path, typer.Option("--root", help="Folder of the run; what it holds is replaced.")
    ] = _INTEROP_ROOT,
    output: OutputOption = "",
) -> None:
    """Play what Hermes, our relayer, CosmJS and cosmpy ask of our chains and of an ibc-go chain.

    Builds simd and Hermes first when they are not cached. Exit 0 only when every scenario passes.
    """
    is_json = _is_json(output)
    from localnet.interop import run  # noqa: PLC0415  (the scenarios import every client)
    from localnet.interop.scenario import describe  # noqa: PLC0415

    with _refusals(), _terminable():
        outcomes = run.play(root, run.select_scenarios(client, only), ProgressLine())
    if is_json:
        _print_json(describe(outcomes))
    else:
        run.show(Console(highlight=False), outcomes)
    if not all(outcome.is_pass for outcome in outcomes):
        raise typer.Exit(EXIT_REFUSED)


def _list_accounts() -> list[dict[str, str]]:
    from localnet.actors import ACTORS  # noqa: PLC0415  (key libraries are slow to import)

    return [
        {
            "name": actor.name,
            "role": actor.role,
            "address": actor.address,
            "mnemonic": actor.mnemonic,
        }
        for actor in ACTORS.values()
    ]


def _show_status(localnet: Localnet) -> None:
    console = Console(highlight=False)
    table = _make_table("node", "state", "height", "pids", "RPC", "gRPC", "home")
    for row in localnet.node_status():
        table.add_row(
            row.name,
            row.state,
            str(row.height or "-"),
            f"{row.app_pid or '-'} {row.cometbft_pid or '-'}",
            row.rpc.removeprefix("http://"),
            row.grpc,
            _shorten(row.home),
        )
    console.print(table)
    services = _make_table("service", "state", "pid", "metrics", "home", "log")
    for service in localnet.service_status():
        services.add_row(
            service.name,
            service.state,
            str(service.pid or "-"),
            service.metrics or "-",
            _shorten(service.home),
            _shorten(service.log),
        )
    console.print(services)
    console.print(f"pids: application, CometBFT; logs: {_shorten(str(localnet.network.logs))}")


def _make_table(*titles: str) -> Table:
    """A table that folds what does not fit: a path cut short is of no use."""
    table = Table()
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _shorten(path: str) -> str:
    """The path as seen from here, when it lies below."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def _show_accounts(*, has_mnemonics: bool = False) -> None:
    console = Console(highlight=False)
    console.print("Named accounts: PUBLIC KEYS, UNSAFE outside this network", style="bold red")
    table = _make_table("name", "address", "role", *(("mnemonic",) if has_mnemonics else ()))
    for account in _list_accounts():
        words = (account["mnemonic"],) if has_mnemonics else ()
        table.add_row(account["name"], account["address"], account["role"], *words)
    console.print(table)


def _show_next_commands(localnet: Localnet) -> None:
    console = Console(highlight=False, soft_wrap=True)
    nodes: dict[str, Any] = {node.name: node for node in localnet.network.topology.nodes}
    hub = nodes.get("hub-1-v0") or next(iter(nodes.values()))
    alice = _list_accounts()[0]["address"]
    root = (
        "" if localnet.root == DEFAULT_ROOT.resolve() else f" --root {_shorten(str(localnet.root))}"
    )
    console.print("Next:", style="bold")
    for line in (
        f"mlocalnet status{root}",
        f"mlocalnet logs relayer -f{root}",
        f"mlocalnet faucet alice '10 ETH' --chain alpha-1{root}",
        f"marginchaind query bank balances {alice} --grpc grpc+http://{hub.grpc_address}",
        "mlocalnet demo",
        f"mlocalnet down{root}",
    ):
        console.print(f"  {line}")


def main() -> None:
    """The entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
