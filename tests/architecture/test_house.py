"""The rules of the house, held by tests: imports, package names, dependency floors, sizes, where keys and writes live."""

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
ROOTS = ("domain", "tools", "prompts", "agents", "graph", "api", "evals")
SOURCES = sorted(path for root in ROOTS for path in (ROOT / root).rglob("*.py"))

FLOORS = {
    "langgraph": "1.0.10",
    "langgraph-checkpoint": "4.0.0",
    "langchain-core": "1.2.22",
    "langsmith": "0.8.18",
    "starlette": "1.3.1",
    "redis": "8.1.0",
}
"""Versions below these have published advisories that concern us (remote code on load, injection, request forgery)."""

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60


def test_imports_fall_down_the_house() -> None:
    """The import rule of the design, by import-linter's contracts in pyproject.toml."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("root", ROOTS)
def test_package_names_are_ours(root: str) -> None:
    """Another distribution may install a package of the same name; ours must be the one that is imported."""
    found = importlib.import_module(root).__file__
    assert found is not None
    assert Path(found).resolve().is_relative_to(ROOT)
    owners = set(importlib.metadata.packages_distributions().get(root, []))
    assert owners <= {"signalbox"}


@pytest.mark.parametrize(("package", "floor"), FLOORS.items())
def test_dependencies_are_above_known_advisories(package: str, floor: str) -> None:
    assert Version(importlib.metadata.version(package)) >= Version(floor)


def test_modules_stay_small() -> None:
    """Modules under about 300 lines; 400 is where a module must be split."""
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > LONGEST_MODULE}
    assert not long


def test_functions_stay_small() -> None:
    long = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno
                if lines > LONGEST_FUNCTION:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert not long


def test_redis_keys_are_made_in_one_module() -> None:
    """Every key carries shard and owner because only graph/runtime/keys.py makes one."""
    literal = re.compile(r"""["']sb:""")
    stray = [str(p.relative_to(ROOT)) for p in SOURCES if p.name != "keys.py" and literal.search(p.read_text())]
    assert not stray


def test_effects_are_applied_in_one_module() -> None:
    """Agents propose, effects dispose: nothing but graph/effects.py calls a write port."""
    callers = []
    for path in SOURCES:
        relative = path.relative_to(ROOT)
        if relative.parts[0] == "tools" or str(relative) == "graph/effects.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "apply"
                and ast.unparse(node.func.value).split(".")[-1] in {"port", "wms", "oms", "crm", "payment", "channels"}
            ):
                callers.append(f"{relative}:{node.lineno}")
    assert not callers


def test_nothing_names_a_machine() -> None:
    """No absolute path of somebody's machine in what is committed, and no address in the locks."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    home = re.compile(r"(?<![\w.:/])/(?:root|home|Users|work|mnt|opt)/\w+")
    found = []
    for name in done.stdout.split():
        path = ROOT / name
        if not path.is_file() or path.suffix not in {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".lock", ""}:
            continue
        text = path.read_text(encoding="utf-8")
        found += [f"{name}: {hit.group()}" for hit in home.finditer(text)]
        if path.suffix == ".lock":
            found += [f"{name}: {hit.group()}" for hit in re.finditer(r"\w+://\S+", text)]
    assert not found
