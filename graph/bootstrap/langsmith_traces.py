"""LangSmith, when it is asked for: which agent ran on which order in which version, and nothing about people.

Off unless a key is set here or tracing is on in LangSmith's own variables. Inputs and outputs never leave; of an error its
type does; of metadata what is on the list.
"""

import re
from collections.abc import Mapping
from typing import Any

import langsmith
from langsmith.utils import tracing_is_enabled

from graph.bootstrap.settings import Settings
from tools.connectors.address import checked_base_url

KEPT = frozenset(
    {
        "agent", "prompt", "prompt_version", "model", "tier", "outcome", "topology", "langgraph_node", "langgraph_step",
        "langgraph_path", "langgraph_checkpoint_ns", "thread_id", "ls_provider", "ls_model_name", "ls_model_type",
        "ls_temperature", "ls_max_tokens", "ls_method", "ls_run_depth", "lc_versions", "revision_id",
    }
)  # fmt: skip
"""Metadata that says nothing about people."""
_ERROR_TYPE = re.compile(r"^\s*([A-Za-z_][\w.]{0,80})\s*[(:]")
_SHORT = 200


def trace_privately(settings: Settings) -> bool:
    """Let traces of this process go through a client that hides what is personal; whether there are any.

    Raises:
        ConfigError: the endpoint is no address.
    """
    key = settings.langsmith_api_key
    if key is None and not tracing_is_enabled():
        return False
    given: dict[str, Any] = {}
    if key is not None:
        given = {"api_key": key.get_secret_value(), "api_url": checked_base_url(settings.langsmith_endpoint)}
    client = private_client(**given)
    if key is not None:
        langsmith.configure(client=client, enabled=True, project_name=settings.langsmith_project)
    else:
        langsmith.configure(client=client)
    return True


def private_client(**given: Any) -> langsmith.Client:
    """A client that sends no input, no output, and of metadata and errors what is harmless."""
    return langsmith.Client(
        hide_inputs=True, hide_outputs=True, anonymizer=harmless, omit_traced_runtime_info=True, **given
    )


def harmless(data: dict[str, Any]) -> dict[str, Any]:
    """What may leave of metadata, or of an error wrapped as ``{"error": text}``."""
    if set(data) == {"error"}:
        found = _ERROR_TYPE.match(str(data["error"]))
        return {"error": found[1] if found else "an error"}
    return {name: _short(value) for name, value in data.items() if name in KEPT}


def _short(value: object) -> object:
    """A value without room for a text of anybody's."""
    if isinstance(value, Mapping):
        return {str(name)[:_SHORT]: _short(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_short(part) for part in value]
    return value if isinstance(value, bool | int | float) or value is None else str(value)[:_SHORT]
