"""What every fixture script needs: where fixtures lie, and a note of what made them."""

import importlib.metadata
import json
import platform
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FIXTURES = HERE / "fixtures"


def write_json(path: Path, value: Any) -> None:
    """JSON that a person can read: lists of numbers stay on one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[\s\d,]+\]", lambda numbers: json.dumps(json.loads(numbers[0])), text)
    path.write_text(text + "\n", encoding="utf-8")


def write_json_lines(path: Path, key: str, header: dict[str, Any], rows: list[Any]) -> None:
    """Like write_json, with `rows` one to a line under `key`: hundreds of rows stay legible in a diff."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = json.dumps(header, indent=1, ensure_ascii=True)[:-2]
    body = ",\n  ".join(json.dumps(row, ensure_ascii=True) for row in rows)
    path.write_text(f'{head},\n "{key}": [\n  {body}\n ]\n}}\n', encoding="utf-8")


def record_versions(script: str, *packages: str) -> None:
    """Writes the versions that `script` ran with into fixtures/versions.json, beside those of the other scripts."""
    path = FIXTURES / "versions.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known[script] = {"python": platform.python_version()} | {p: importlib.metadata.version(p) for p in packages}
    write_json(path, dict(sorted(known.items())))
