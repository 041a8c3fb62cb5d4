"""Real brokers beside Redis for tests: a Kafka-protocol cluster inside librdkafka, and a private RabbitMQ server."""

import ctypes
import importlib.util
import os
import shutil
import socket
import subprocess
from pathlib import Path
from time import monotonic


class KafkaCluster:
    """librdkafka's mock cluster: real TCP listeners that speak the Kafka protocol, records kept in memory.

    Reached through its C interface, because the start-up pause of consumer groups (3 s) can be switched off only there.
    """

    def __init__(self) -> None:
        package = importlib.util.find_spec("confluent_kafka")
        if package is None or package.origin is None:
            raise FileNotFoundError("the confluent-kafka package is not installed")
        folder = Path(package.origin).parent
        found = [*folder.parent.glob("confluent_kafka.libs/librdkafka*"), *folder.glob(".dylibs/librdkafka*")]
        if not found:
            raise FileNotFoundError("the confluent-kafka package carries no librdkafka")
        self._library = ctypes.CDLL(str(found[0]))
        for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(self._library, name).restype = ctypes.c_void_p
        self._library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        problem = ctypes.create_string_buffer(512)
        conf = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        self._library.rd_kafka_conf_set(conf, b"log_level", b"0", problem, 512)
        self._handle = ctypes.c_void_p(self._library.rd_kafka_new(0, conf, problem, 512))
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(self._handle, 1))
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.bootstrap_servers: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def close(self) -> None:
        """Stop the brokers."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class RabbitServer:
    """A RabbitMQ node of our own in a folder: its own name, ports and data; nothing of the machine's node is touched."""

    def __init__(self, folder: Path, *, start_timeout_s: float = 50.0) -> None:
        binary = shutil.which("rabbitmq-server")
        if binary is None:
            raise FileNotFoundError("no rabbitmq-server on PATH (Debian: apt install rabbitmq-server)")
        amqp, distribution, self._names = _free_ports(3)
        self.url = f"amqp://guest:guest@127.0.0.1:{amqp}/"
        # The wrapper script in /usr/sbin changes to the user rabbitmq; the node's own script runs as whoever calls it.
        own = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        self._log = folder / "node.log"
        folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"signalbox{amqp}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(amqp),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbit.conf"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._names),
        }
        (folder / "plugins").write_text("[].\n")
        (folder / "rabbit.conf").write_text(
            "disk_free_limit.absolute = 10MB\nvm_memory_high_watermark.relative = 0.9\n"
        )
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(own) if own.exists() else binary], env=environment, stdout=log, stderr=log, cwd=folder
            )
        self._wait(amqp, monotonic() + start_timeout_s)

    def _wait(self, port: int, deadline: float) -> None:
        while monotonic() < deadline:
            with socket.socket() as probe:
                if self._process.poll() is None and probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            try:
                self._process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        self.close()
        raise RuntimeError(f"RabbitMQ did not start: {self._log.read_text(errors='replace')[-600:]}")

    def close(self) -> None:
        """Stop the node and the name daemon it started."""
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        subprocess.run(["epmd", "-port", str(self._names), "-kill"], capture_output=True, check=False, timeout=10)
