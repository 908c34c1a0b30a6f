"""The relayer's metrics, named as operators know them, served for Prometheus on loopback."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

_PATH = ("src_chain", "dst_chain", "src_channel", "src_port")
_LATENCY_BUCKETS_MS = (100, 250, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 60_000)


class Telemetry:
    """All metrics of one relayer process; one instance is handed to every part."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.workers = Gauge("workers", "Running workers.", ["type"], registry=registry)
        self.client_updates_submitted = Counter(
            "client_updates_submitted_total",
            "Client update messages submitted.",
            ["chain", "client"],
            registry=registry,
        )
        self.client_misbehaviours_submitted = Counter(
            "client_misbehaviours_submitted_total",
            "Misbehaviour messages submitted.",
            ["chain", "client"],
            registry=registry,
        )
        self.wallet_balance = Gauge(
            "wallet_balance",
            "Fee balance of the relayer's key.",
            ["chain", "account", "denom"],
            registry=registry,
        )
        self.tx_latency_submitted = Histogram(
            "tx_latency_submitted",
            "Milliseconds from seeing an event to broadcasting its transaction.",
            ["chain"],
            buckets=_LATENCY_BUCKETS_MS,
            registry=registry,
        )
        self.tx_latency_confirmed = Histogram(
            "tx_latency_confirmed",
            "Milliseconds from seeing an event to its transaction in a block.",
            ["chain"],
            buckets=_LATENCY_BUCKETS_MS,
            registry=registry,
        )
        self.send_packet_events = Counter(
            "send_packet_events_total", "send_packet events seen.", _PATH, registry=registry
        )
        self.acknowledgement_events = Counter(
            "acknowledgement_events_total",
            "write_acknowledgement events seen.",
            _PATH,
            registry=registry,
        )
        self.receive_packets_confirmed = Counter(
            "receive_packets_confirmed_total", "MsgRecvPacket in blocks.", _PATH, registry=registry
        )
        self.acknowledgment_packets_confirmed = Counter(
            "acknowledgment_packets_confirmed_total",
            "MsgAcknowledgement in blocks.",
            _PATH,
            registry=registry,
        )
        self.timeout_packets_confirmed = Counter(
            "timeout_packets_confirmed_total", "MsgTimeout in blocks.", _PATH, registry=registry
        )
        self.cleared_packets = Counter(
            "cleared_send_packet_count_total",
            "Packets found by clearing from commitments.",
            _PATH,
            registry=registry,
        )
        self.postponed_packets = Counter(
            "postponed_packets_total",
            "Packets whose messages failed and are tried again later.",
            _PATH,
            registry=registry,
        )
        self.task_failures = Counter(
            "task_failures_total",
            "Unexpected exceptions a task survived.",
            ["task"],
            registry=registry,
        )
        self.scanned_height = Gauge(
            "scanned_height", "Newest block whose events are read.", ["chain"], registry=registry
        )
        self.backlog_size = Gauge(
            "backlog_size", "Packets without a final answer.", _PATH, registry=registry
        )
        self.backlog_oldest_sequence = Gauge(
            "backlog_oldest_sequence", "The oldest such packet.", _PATH, registry=registry
        )
        self.backlog_latest_update_timestamp = Gauge(
            "backlog_latest_update_timestamp",
            "When the backlog was last read, Unix seconds.",
            _PATH,
            registry=registry,
        )
        self.filtered_packets = Counter(
            "filtered_packets_total", "Packets not relayed by a limit.", _PATH, registry=registry
        )
        self.queries = Counter(
            "queries_total", "Queries made.", ["chain", "kind"], registry=registry
        )
        self.query_errors = Counter(
            "query_errors_total", "Queries that failed.", ["chain", "kind"], registry=registry
        )
        self.broadcast_errors = Counter(
            "broadcast_errors_total",
            "Transactions refused at broadcast.",
            ["chain", "codespace", "code"],
            registry=registry,
        )
        self.simulate_errors = Counter(
            "simulate_errors_total", "Simulations that failed.", ["chain"], registry=registry
        )
        self.redundant_messages = Counter(
            "redundant_messages_total",
            "Messages another relayer had already delivered.",
            ["chain"],
            registry=registry,
        )
        self.payer_pauses = Counter(
            "payer_pauses_total",
            "Times submission stopped for want of funds or budget.",
            ["chain"],
            registry=registry,
        )
        self.fees_spent = Counter(
            "fees_spent_total", "Fees paid, atomic units.", ["chain", "denom"], registry=registry
        )
        self.ws_reconnects = Counter(
            "ws_reconnect_total", "Websocket reconnections.", ["chain"], registry=registry
        )
        self.endpoint_changes = Counter(
            "endpoint_changes_total",
            "Times a node that failed or lagged was left for the next.",
            ["chain"],
            registry=registry,
        )
        self.chain_latest_height = Gauge(
            "chain_latest_height", "Newest height seen.", ["chain"], registry=registry
        )
        self.client_expiration_seconds = Gauge(
            "client_expiration_seconds",
            "Seconds until a client expires unless it is updated.",
            ["chain", "client", "trusted_chain"],
            registry=registry,
        )
        self.client_trusting_period_seconds = Gauge(
            "client_trusting_period_seconds",
            "Trusting period of a client.",
            ["chain", "client", "trusted_chain"],
            registry=registry,
        )

    def serve(self, host: str, port: int) -> None:
        """Serve the metrics over HTTP; raises OSError when the port is taken."""
        start_http_server(port, addr=host, registry=self.registry)
