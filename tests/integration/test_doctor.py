"""The go-live checklist: what is there is ok, what is not is missing with how to mend it, and the exit code says so."""

from pathlib import Path

import pytest

from tests.support.command_line import CommandLine

AREAS = {"backends", "stores", "observability", "keys", "models", "agents", "people", "governance"}
SYSTEMS = {"wms", "crm", "erp", "payment", "oms", "channels", "messages", "listings", "purchasing"}


@pytest.fixture
def signalbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(tmp_path / "home", monkeypatch, capsys)


def test_out_of_the_box_nothing_is_missing_and_production_is_told_what_is(signalbox: CommandLine) -> None:
    """F2: each API, bus, store and log target is one line; stand-ins are warnings, and missing where it is for real."""
    found = signalbox.good("doctor")
    assert found["ready"]
    assert found["missing"] == 0
    assert {line["area"] for line in found["findings"]} == AREAS
    asked = {line["name"] for line in found["findings"] if line["area"] == "backends"}
    assert asked >= SYSTEMS
    assert sum(name.startswith("carrier ") for name in asked) >= 2
    assert {line["name"] for line in found["findings"] if line["area"] == "stores"} >= {"redis", "sql", "bus", "audit"}
    assert all(line["mend"] for line in found["findings"] if line["state"] != "ok")
    strict = signalbox("doctor", "--production", "--json")
    assert strict.code == 1
    assert not strict.json["ready"]
    assert strict.json["warning"] == 0
    assert strict.json["missing"] == found["warning"]
    told = signalbox("doctor").out
    assert "WARNING" in told
    assert "0 missing" in told


def test_a_system_that_does_not_answer_is_missing(signalbox: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """F2: with every back end away each is named, nothing hangs, the rest is still checked, and the exit code is 1."""
    monkeypatch.setenv("SIGNALBOX_BACKENDS_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SIGNALBOX_BACKENDS_TOKEN", "x" * 20)
    monkeypatch.setenv("SIGNALBOX_LLM_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("SIGNALBOX_LLM_MODEL", "any")
    answer = signalbox("doctor", "--json")
    assert answer.code == 1
    missing = {line["name"]: line for line in answer.json["findings"] if line["state"] == "missing"}
    assert missing.keys() >= SYSTEMS | {"model endpoint"}
    assert all(line["detail"] and line["mend"] for line in missing.values())
    assert {line["name"] for line in answer.json["findings"] if line["state"] == "ok"} >= {"bus", "audit", "inventory"}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SIGNALBOX_REDIS_URL", "redis://127.0.0.1:9/0", "127.0.0.1"),
        ("SIGNALBOX_DATABASE_URL", "sqlite+aiosqlite:////nowhere/at/all.sqlite3", "nowhere"),
        ("SIGNALBOX_TOPOLOGY_FILE", "/nowhere.yaml", "nowhere.yaml"),
        ("SIGNALBOX_TENANTS_FILE", "/nowhere-tenants.yaml", "nowhere-tenants.yaml"),
        ("SIGNALBOX_AUTOMATIONS_FILE", "/nowhere-automations.yaml", "nowhere-automations.yaml"),
    ],
)
def test_what_does_not_even_start_is_one_missing_line(
    signalbox: CommandLine, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    """F2: a store or file that is away is a line with its sentence and exit code 1, not a traceback."""
    monkeypatch.setenv(name, value)
    answer = signalbox("doctor", "--json")
    assert answer.code == 1, answer.out
    (line,) = [one for one in answer.json["findings"] if one["state"] == "missing"]
    assert told in line["detail"]
    assert "Traceback" not in answer.err


def test_people_agents_and_rules(signalbox: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """F2: a pair of writers without a rule, and a queue nobody may answer, are missing; both name whom it is about."""
    automations, policy = tmp_path / "automations.yaml", tmp_path / "policy.yaml"
    automations.write_text(
        "automations:\n  - {name: b, version: v1, owner: a, trigger: b, writes: [order.tags], events: [order.vip.tagged]}\n"
    )
    monkeypatch.setenv("SIGNALBOX_AUTOMATIONS_FILE", str(automations))
    answer = signalbox("doctor", "--json")
    (line,) = [one for one in answer.json["findings"] if one["state"] == "missing"]
    assert line["name"] == "conflicts"
    assert "analytics_tagging and automation:b on order.tags" in line["detail"]
    policy.write_text("queues: nonsense")
    monkeypatch.setenv("SIGNALBOX_REVIEW_POLICY_FILE", str(policy))
    answer = signalbox("doctor", "--json")
    assert answer.code == 1
    assert "policy.yaml" in answer.json["findings"][0]["detail"]
