"""The labelled cases through LangSmith's ``evaluate``: offline as a rule, uploaded when asked.

``python -m evals.langsmith_run [SET ...] [--upload]``. A dataset holds case ids, labels and what is right; the orders
themselves stay here.
"""

import argparse
import asyncio
import sys
import warnings
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from langsmith import Client, aevaluate
from langsmith.schemas import Example

from agents.published import replayed
from domain.ids import stable_id
from evals.labelled import CASES, CaseSet, read_cases
from evals.score import SETS, version_in_force
from evals.shadow_pairs import right
from graph.bootstrap.langsmith_traces import private_client
from graph.order.replaying import TapeDeck

_CONCURRENT = 4


async def evaluate_set(found: CaseSet, *, client: Client, upload: bool, version: str = "") -> dict[str, Any]:
    """Ask the agent every case; right and all, and the experiment's name when it was uploaded."""
    wanted = version or version_in_force(found.agent)
    deck = TapeDeck(found.values, found.decisions, make=replayed)
    agent, cases = deck.agent(found.agent, wanted), {case.case_id: case for case in found.cases}

    async def target(inputs: dict[str, Any]) -> dict[str, Any]:
        played = await deck.play(agent, cases[inputs["case"]].tape)
        said = "" if played.verdict is None else played.verdict.decision
        return {"decision": said, "right": right(played.verdict, cases[inputs["case"]].right)}

    def is_right(run: Any, example: Any) -> dict[str, Any]:
        return {"key": "right", "score": bool((run.outputs or {}).get("right"))}

    results = await aevaluate(
        target,
        data=_dataset(found, client) if upload else examples(found),
        evaluators=[is_right],
        experiment_prefix=f"{found.agent}-{wanted}",
        max_concurrency=_CONCURRENT,
        client=client,
        upload_results=upload,
        disable_evaluator_tracing=not upload,
    )
    scores = [one["evaluation_results"]["results"][0].score async for one in results]
    return {
        "set": found.name, "agent": found.agent, "version": wanted, "n": len(scores), "right": sum(map(bool, scores)),
        "experiment": results.experiment_name if upload else "",
    }  # fmt: skip


def examples(found: CaseSet) -> list[Example]:
    """The cases as examples: ids and labels, no order."""
    set_id = UUID(stable_id("evals", found.name, found.digest))
    return [
        Example(
            id=UUID(stable_id("evals", found.digest, case.case_id)), dataset_id=set_id,
            inputs={"case": case.case_id, "segment": case.segment.name, "label": case.label}, outputs={"right": list(case.right)},
        )
        for case in found.cases
    ]  # fmt: skip


def _dataset(found: CaseSet, client: Client) -> str:
    """The name of the uploaded dataset, made when it is not there; its name follows from its content."""
    name = f"signalbox-{found.name}-{found.digest[:12]}"
    if not client.has_dataset(dataset_name=name):
        dataset = client.create_dataset(name, description=f"labelled cases of {found.agent}")
        client.create_examples(
            dataset_id=dataset.id,
            examples=[{"inputs": one.inputs, "outputs": one.outputs} for one in examples(found)],
        )
    return name


async def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate, and print one line a set."""
    parser = argparse.ArgumentParser(prog="python -m evals.langsmith_run", description=__doc__)
    parser.add_argument("sets", nargs="*", choices=[*SETS, []], default=[], help="case sets; all when none is named")
    parser.add_argument(
        "--upload", action="store_true", help="send dataset and results to LangSmith (LANGSMITH_API_KEY)"
    )
    given = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message=".*upload_results.*")
    # Offline nothing is ever sent; the key only keeps the library from complaining.
    client = (
        private_client()
        if given.upload
        else private_client(api_key="offline", auto_batch_tracing=False, tracing_sampling_rate=0.0)
    )
    for name in given.sets or list(SETS):
        one = await evaluate_set(read_cases(CASES / f"{name}.jsonl.gz"), client=client, upload=given.upload)
        print(
            f"{one['set']} ({one['agent']} {one['version']}): {one['right']} of {one['n']} right {one['experiment']}".rstrip()
        )
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
