"""Processes of a local network: started detached, found again by pid file, stopped for certain.

A pid file holds the process's creation time too, so that a reused pid is never taken for ours.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import psutil

from chain.node.abci_wire import AbciAddress
from chain.node.config import load_config
from localnet.topology import NodeSpec

Part = Literal["app", "cometbft", "both"]

_POLL_S = 0.05
_ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
APP_START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0


class ProcessFailed(RuntimeError):
    """A process that ended or never became ready; the text names its log and last lines."""


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in _ENDED
    except psutil.Error:
        return False


@dataclass(slots=True)
class LocalProcess:
    """One named process with its log and pid file."""

    name: str
    argv: Sequence[str]
    log_path: Path
    pid_path: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _child: "subprocess.Popen[bytes] | None" = None

    @property
    def process(self) -> psutil.Process | None:
        """The living process, ours or one an earlier command left."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None  # Reaped.
        try:
            saved = json.loads(self.pid_path.read_text())
            process = psutil.Process(saved["pid"])
            is_same = abs(process.create_time() - saved["create_time"]) < 0.1
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None
        return process if is_same and _is_alive(process) else None

    @property
    def pid(self) -> int | None:
        """The pid, when it runs."""
        process = self.process
        return process.pid if process else None

    @property
    def is_running(self) -> bool:
        """Whether it is alive, paused included."""
        return self.process is not None

    @property
    def is_paused(self) -> bool:
        """Whether it is stopped by a signal."""
        process = self.process
        with suppress(psutil.Error):
            return process is not None and process.status() == psutil.STATUS_STOPPED
        return False

    def start(self) -> None:
        """Start it unless it runs; output is appended to the log."""
        if self.is_running:
            return
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.pid_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._child = subprocess.Popen(
                list(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        with suppress(psutil.Error):
            created = psutil.Process(self._child.pid).create_time()
            record = {"pid": self._child.pid, "create_time": created}
            self.pid_path.write_text(json.dumps(record))

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        process = self.process
        if process is not None:
            with suppress(psutil.Error):
                process.send_signal(number)

    def request_stop(self) -> None:
        """Ask it to end; a paused one is woken to hear it."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End it: SIGTERM, and SIGKILL after the timeout."""
        self.request_stop()
        if not self.wait_ended(timeout_s):
            self.kill()
        self.pid_path.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; a successor that a supervisor starts is let live."""
        process = self.process
        if process is None:
            return
        with suppress(psutil.Error):
            process.kill()
        if not wait_until(lambda: not _is_alive(process), STOP_TIMEOUT_S):
            raise ProcessFailed(f"{self.name} (pid {process.pid}) does not die")

    def wait_ended(self, timeout_s: float) -> bool:
        """Whether it ended in time."""
        return wait_until(lambda: not self.is_running, timeout_s)

    def read_log_tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - 16_384))
                return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"


@dataclass(slots=True)
class NodeProcesses:
    """A node's two processes: its application, and the CometBFT that cannot live without it.

    CometBFT ends when its application dies; the application outlives CometBFT and waits for it.
    """

    spec: NodeSpec
    home: Path
    app: LocalProcess
    cometbft: LocalProcess

    @classmethod
    def build(
        cls, spec: NodeSpec, home: Path, logs: Path, *, cometbft: Path, application: Sequence[str]
    ) -> "NodeProcesses":
        """`application` is the command before `--home`, like (marginchaind, start)."""
        run = home / "run"
        return cls(
            spec,
            home,
            LocalProcess(
                f"{spec.name} application",
                [*application, "--home", str(home)],
                logs / f"{spec.name}.app.log",
                run / "app.pid",
            ),
            LocalProcess(
                f"{spec.name} CometBFT",
                [str(cometbft), "node", "--home", str(home)],
                logs / f"{spec.name}.cometbft.log",
                run / "cometbft.pid",
            ),
        )

    @property
    def is_running(self) -> bool:
        """Whether both processes are alive."""
        return self.app.is_running and self.cometbft.is_running

    @property
    def is_stopped_on_purpose(self) -> bool:
        """Whether `stop` was the last order; supervision leaves such a node alone."""
        return self._stopped_marker.exists()

    @property
    def _stopped_marker(self) -> Path:
        return self.home / "run" / "stopped"

    def start_app(self) -> None:
        """First half of a start: the application, not yet awaited."""
        self._stopped_marker.unlink(missing_ok=True)
        if not self.app.is_running and self.cometbft.is_running:
            # CometBFT is about to notice the loss of its application; a new one cannot save it.
            self.cometbft.stop()
        self.app.start()

    def start_cometbft(self, timeout_s: float = APP_START_TIMEOUT_S) -> None:
        """Second half: CometBFT, once the application listens; raises ProcessFailed."""
        address = AbciAddress.parse(load_config(self.home).abci.address)
        deadline = time.monotonic() + timeout_s
        while not self.cometbft.is_running and not is_listening(address):
            if not self.app.is_running or time.monotonic() > deadline:
                state = "is not listening" if self.app.is_running else "has ended"
                raise ProcessFailed(
                    f"{self.app.name} {state}; log {self.app.log_path}:\n{self.app.read_log_tail()}"
                )
            time.sleep(_POLL_S)
        self.cometbft.start()

    def start(self) -> None:
        """Start what does not run; idempotent."""
        self.start_app()
        self.start_cometbft()

    def mark_stopped(self) -> None:
        """Note that the node is to stay down until somebody starts it."""
        self._stopped_marker.parent.mkdir(parents=True, exist_ok=True)
        self._stopped_marker.touch()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop both for as long as nobody starts them: CometBFT first, so that no block is torn."""
        self.mark_stopped()
        self.cometbft.stop(timeout_s)
        self.app.stop(timeout_s)

    def kill(self, part: Part = "both") -> None:
        """SIGKILL, like a power cut; supervision will start the node again."""
        for process in self._select(part):
            process.kill()

    def pause(self, part: Part = "both") -> None:
        """SIGSTOP: alive, connected and silent."""
        for process in self._select(part):
            process.send(signal.SIGSTOP)

    def resume(self, part: Part = "both") -> None:
        """SIGCONT."""
        for process in self._select(part):
            process.send(signal.SIGCONT)

    def restart(self) -> None:
        """Bring both up again whatever is left of them."""
        self.resume()
        self.cometbft.stop()
        self.app.stop()
        self.start()

    def _select(self, part: Part) -> tuple[LocalProcess, ...]:
        if part == "app":
            return (self.app,)
        if part == "cometbft":
            return (self.cometbft,)
        return (self.cometbft, self.app)


def is_listening(address: AbciAddress) -> bool:
    """Whether somebody accepts connections there."""
    family = socket.AF_INET if address.path is None else socket.AF_UNIX
    target = (address.host, address.port) if address.path is None else address.path
    with socket.socket(family) as probe:
        probe.settimeout(1)
        try:
            probe.connect(target)
        except OSError:
            return False
    return True
