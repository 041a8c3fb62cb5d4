"""Prompt files: verified as a whole, every mistake one sentence with the file, every rendering kept as a snapshot."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from domain.errors import ConfigError
from domain.language import LanguageRequest
from prompts.library import PromptLibrary, shipped_prompts
from tests.support.language import PROMPTS
from tests.support.prompt_samples import SAMPLES
from tools.llm.question import prepare

SNAPSHOTS = Path(__file__).parents[1] / "snapshots" / "prompts"
SECRET = "0123456789abcdef"


@pytest.mark.parametrize("prompt", list(shipped_prompts()), ids=lambda prompt: f"{prompt.prompt_id}-{prompt.version}")
def test_rendered_prompts_are_their_snapshots(prompt: object) -> None:
    """F22: what a prompt version sends changes only on purpose."""
    shipped = next(each for each in shipped_prompts() if each == prompt)
    request = LanguageRequest(
        agent=shipped.agent,
        prompt=shipped.prompt_id,
        tenant="t",
        entity_type="order",
        entity_id="o",
        locale=shipped.declared.languages[0],
        **SAMPLES[shipped.prompt_id],
    )
    turns = prepare(request, shipped, secret=SECRET).turns
    text = "\n\n".join(f"--- {turn.role}\n{turn.text}" for turn in turns) + "\n"
    path = SNAPSHOTS / f"{shipped.prompt_id}-{shipped.version}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), "render it with UPDATE_SNAPSHOTS=1"
    assert text == path.read_text(encoding="utf-8")


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return change


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing file": (lambda folder: (folder / "1.0" / "user.j2").unlink(), r"user\.j2 cannot be read"),
    "not YAML": (replace("manifest.yaml", "agent:", "agent: ["), r"manifest\.yaml: not YAML"),
    "unknown word": (replace("manifest.yaml", "tier: medium", "teir: medium"), r"manifest\.yaml: versions\.1\.0\.t"),
    "unknown tier": (replace("manifest.yaml", "tier: medium", "tier: huge"), r"manifest\.yaml: versions\.1\.0\.tier"),
    "no current": (replace("manifest.yaml", 'current: "1.0"', 'current: "2.0"'), "current names 2.0"),
    "card shown": (replace("manifest.yaml", "[company]", "[card]"), "card may never be sent"),
    "unknown variable": (replace("1.0/user.j2", "{{ mail }}", "{{ mial }}"), r"user\.j2: the variable mial"),
    "unused variable": (replace("1.0/user.j2", "{{ mail }}", ""), "declares mail, which no template uses"),
    "untrusted in system": (replace("1.0/system.j2", "{{ number }}", "{{ number }} {{ note }}"), "note is untrusted"),
    "bad template": (replace("1.0/user.j2", "{{ mail }}", "{{ mail "), r"user\.j2:3: the template"),
    "not JSON": (replace("1.0/schema.json", '"type": "object",', '"type": "object"'), r"schema\.json:3: not JSON"),
    "open object": (replace("1.0/schema.json", '"additionalProperties": false,', ""), "additionalProperties must be"),
    "optional field": (replace("1.0/schema.json", '"sku", "text"]', '"text"]'), "required must list every field"),
    "unsupported word": (
        replace("1.0/schema.json", '"maxLength": 600', '"format": "email"'),
        "format is not supported",
    ),
    "unknown type": (replace("1.0/schema.json", '"type": "number"', '"type": "float"'), r"\$\.confidence\.type"),
    "text field": (replace("manifest.yaml", "texts: [text]", "texts: [body]"), "texts names body"),
}


@pytest.mark.parametrize(("change", "sentence"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_prompt_is_one_sentence(tmp_path: Path, change: Callable[[Path], None], sentence: str) -> None:
    shutil.copytree(PROMPTS, tmp_path / "prompts")
    PromptLibrary(tmp_path / "prompts")
    change(tmp_path / "prompts" / "note_reader")
    with pytest.raises(ConfigError, match=sentence):
        PromptLibrary(tmp_path / "prompts")


def test_any_change_of_a_version_changes_its_digest(tmp_path: Path) -> None:
    """F22: versions in decisions tell prompts apart even if somebody edits one in place."""
    shutil.copytree(PROMPTS, tmp_path / "prompts")
    before = PromptLibrary(tmp_path / "prompts").find("note_reader").digest
    replace("1.0/system.j2", "answer", "reply")(tmp_path / "prompts" / "note_reader")
    assert PromptLibrary(tmp_path / "prompts").find("note_reader").digest != before
