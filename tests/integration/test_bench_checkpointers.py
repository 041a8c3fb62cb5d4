"""The checkpointer benchmark runs, compares what is installed and names what is not."""

from pathlib import Path

import pytest

from evals.bench.checkpointers import CANDIDATES, CONCURRENCIES, OURS, installed, measure, report


async def test_the_benchmark_reports_every_candidate(
    redis_server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = await measure(redis_server, tmp_path, orders=2, rounds=1)
    assert [result.candidate for result in results] == [each for each in CANDIDATES if installed(each.package)]
    ours = next(result for result in results if result.candidate.name == OURS)
    assert ours.keys <= 4
    assert ours.stored_bytes <= 20_000
    assert set(ours.orders_per_s) == set(CONCURRENCIES)
    report(results)
    printed = capsys.readouterr().out
    for candidate in CANDIDATES:
        line = next(line for line in printed.splitlines() if line.startswith(candidate.name))
        assert ("not installed" in line) == (installed(candidate.package) is None)
