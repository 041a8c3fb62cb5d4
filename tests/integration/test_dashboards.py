"""Dashboards, alert rules and the metrics they ask for: every name and label exists, and Prometheus' own tool agrees."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import ApiMetrics
from domain.order import OrderProgress
from graph.runtime.metric_names import METRICS, Kind
from tests.support.system import fast_settings, native_order, running

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
RULES = DEPLOY / "prometheus" / "rules.yml"
PROMETHEUS_OWN = {"up"}
_WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset"}
_LABELS_OF_EVERY_SERIES = {"le", "job", "instance"}
_SERIES = {name: metric for metric in METRICS for name in metric.series}

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian package prometheus)"
)


def panels() -> Iterator[tuple[str, str]]:
    for file in DASHBOARDS:
        for panel in orjson.loads(file.read_bytes())["panels"]:
            for target in panel["targets"]:
                yield f"{file.name}: {panel['title']}", target["expr"]


def rules() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def asked(query: str) -> tuple[set[str], set[str]]:
    """The metrics and the labels a query names."""
    selectors = re.findall(r"\{([^}]*)\}", query)
    grouped = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", query)
    labels = {found for one in selectors for found in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", one)}
    labels |= {name.strip() for one in grouped for name in one.split(",") if name.strip()}
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"|\b(?:by|without|on|ignoring)\s*\([^)]*\)", " ", query)
    names = {word for word in re.findall(r"[a-zA-Z_:][\w:]*(?!\w*\s*\()", bare) if word not in _WORDS}
    return {name for name in names if not re.search(rf"\b{name}\s*\(", bare)}, labels


@pytest.mark.parametrize(("where", "query"), [*panels(), *rules()], ids=lambda value: str(value)[:60])
def test_every_query_names_what_is_exported(where: str, query: str) -> None:
    """Issue 6.3: no panel and no alert asks for a metric or a label that is not exported."""
    names, labels = asked(query)
    assert names, where
    assert names <= _SERIES.keys() | PROMETHEUS_OWN, where
    known = {label for name in names if name in _SERIES for label in _SERIES[name].labels}
    assert labels <= known | _LABELS_OF_EVERY_SERIES, where


def test_the_reader_of_queries_sees_what_is_wrong() -> None:
    """Issue 6.3: the check above would notice a name or label that does not exist."""
    query = 'sum by (agent, oops) (rate(ops_gone_total{mode="x"}[5m])) / sum(ops_stuck_orders) > 2'
    assert asked(query) == ({"ops_gone_total", "ops_stuck_orders"}, {"agent", "oops", "mode"})


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_dashboards_can_be_provisioned(file: Path) -> None:
    """Issue 6.3: uid, schema version and a data source one can choose; panels have ids of their own and do not overlap."""
    board: dict[str, Any] = orjson.loads(file.read_bytes())
    assert board["uid"].startswith("signalbox-")
    assert board["schemaVersion"] >= 39
    (source,) = [one for one in board["templating"]["list"] if one["type"] == "datasource"]
    assert source["query"] == "prometheus"
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"${datasource}"}
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in board["panels"])
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_each_dashboard_has_its_own_uid_and_is_provisioned_from_its_folder() -> None:
    """Issue 6.3: provisioning names the folder the dashboards are mounted in."""
    uids = [orjson.loads(file.read_bytes())["uid"] for file in DASHBOARDS]
    assert len(set(uids)) == len(uids) >= 3
    provisioning = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/signalbox.yaml").read_text())
    (provider,) = provisioning["providers"]
    compose = yaml.safe_load((DEPLOY / "compose.observability.yaml").read_text())
    mounted = [volume for volume in compose["services"]["grafana"]["volumes"] if "dashboards/signalbox" in volume]
    assert mounted == [f"./grafana/dashboards:{provider['options']['path']}:ro"]
    for service in compose["services"].values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert not source.startswith("./") or source == "./signalbox.key" or (DEPLOY / source).exists(), volume


async def test_everything_exported_is_in_the_one_list(tmp_path: Path) -> None:
    """Issue 6.3: a running system exports exactly the metrics of the list, and no label holds an order's id."""
    async with running(fast_settings(tmp_path / "home")) as rig:
        done = await rig.run(native_order(), at=OrderProgress.FULFILLED)
        api = ApiMetrics()
        api.answered(method="GET", route="/v1/orders/{order_id}", status=200, seconds=0.01)
        page = rig.box.store.metrics.page().decode() + api.exposition().decode()
    found = text_string_to_metric_families(page)
    families = {family.name: family for family in found if not family.name.endswith("_created")}
    assert families.keys() == {metric.name for metric in METRICS}
    for metric in METRICS:
        family = families[metric.name]
        assert family.type == metric.kind.value
        assert family.documentation == metric.told
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                assert set(sample.labels) <= {*metric.labels, "le"}
    assert done.order_id not in page
    told = (DEPLOY.parent / "docs" / "observability.md").read_text()
    missing = [metric.name for metric in METRICS if f"`{metric.series[0].removesuffix('_bucket')}`" not in told]
    assert missing == []
    if tool := shutil.which("promtool"):
        checked = await asyncio.to_thread(
            subprocess.run, [tool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_metric_makes_the_instrument_it_says() -> None:
    """Issue 6.3: names are unique and every kind can be made."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    registry = CollectorRegistry()
    for metric in METRICS:
        {Kind.COUNTER: metric.counter, Kind.GAUGE: metric.gauge, Kind.HISTOGRAM: metric.histogram}[metric.kind](
            registry
        )
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)


@promtool
def test_the_rules_hold_in_prometheus_own_tests() -> None:
    """Issue 6.3: promtool accepts configuration and rules; each alert fires when it should and not before."""
    folder = DEPLOY / "prometheus"
    for arguments in (
        ["check", "config", "--syntax-only", "prometheus.yml"], ["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"],
    ):  # fmt: skip
        ran = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    tested = {test["name"] for test in yaml.safe_load((folder / "rules_test.yml").read_text())["tests"]}
    assert tested == {name for name, _ in rules()}
