"""``mode: earned`` in the topology file."""

import pytest

from graph.bootstrap.settings import ORDER_TOPOLOGY
from graph.topology.loader import load
from graph.topology.model import Autonomy
from graph.topology.problems import TopologyError


def test_an_agent_may_have_to_earn_its_autonomy() -> None:
    """F30: the file says where a record is needed."""
    text = ORDER_TOPOLOGY.read_text(encoding="utf-8").replace("mode: autonomous", "mode: earned", 1)
    assert load(text).workflow("order_workflow").agent("fraud_detection").mode is Autonomy.EARNED


def test_where_nobody_reviews_nothing_can_be_earned() -> None:
    text = ORDER_TOPOLOGY.read_text(encoding="utf-8")
    head, name, rest = text.partition("- name: loyalty\n")
    with pytest.raises(TopologyError, match="loyalty is in tier_3, where nobody reviews it"):
        load(head + name + rest.replace("mode: autonomous", "mode: earned", 1))
