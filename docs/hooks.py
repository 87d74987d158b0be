"""Pages of the documentation that are made from the program: the configuration's reference and the page's API."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from pipeline.config.json_schema import default_yaml, schema

_OPENAPI = Path(__file__).parents[1] / "pipeline" / "web" / "static" / "openapi.json"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages to those that are written by hand."""
    for path, text in (("configuration.md", configuration()), ("http-api.md", http_api())):
        files.append(File.generated(config, path, content=text))
    return files


def configuration() -> str:
    """Describe every section of a configuration, and show the file with all defaults."""
    described = schema()
    parts = [
        "# Configuration",
        "A section at the top is the default for all cameras; the same section under a camera overrides it key by key.",
        "Durations are seconds. `${NAME}` takes a value from the environment.",
        "## Top level",
        _table(described),
    ]
    for name, section in described["$defs"].items():
        if "properties" in section:
            parts += [f"## {name}", str(section.get("description", "")), _table(section)]
    parts += ["## All of it", f"```yaml\n{default_yaml()}```"]
    return "\n\n".join(parts) + "\n"


def http_api() -> str:
    """Describe what the page's server answers, from the description that it serves itself."""
    described = json.loads(_OPENAPI.read_text())
    parts = ["# For other programs", described["info"]["description"]]
    parts.append("The same for programs is served at `/openapi.json`.")
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                shared = methods.get("parameters", [])
                parts += [f"## `{method.upper()} {path}`", _operation(operation, shared)]
    return "\n\n".join(parts) + "\n"


def _operation(operation: dict[str, Any], shared: list[dict[str, Any]]) -> str:
    lines = [html.escape(operation["summary"]) + ".", "", str(operation.get("description", "")), ""]
    for each in [*shared, *operation.get("parameters", [])]:
        if "name" in each:
            lines.append(f"- `{each['name']}`: {each.get('description', each['in'])}")
    lines.append("")
    for status, answer in operation["responses"].items():
        text = answer.get("description") or answer["$ref"].rpartition("/")[2]
        lines.append(f"- **{status}** {text}")
    return "\n".join(lines)


def _table(section: dict[str, Any]) -> str:
    rows = ["| key | default | what it is |", "|---|---|---|"]
    for key, each in section["properties"].items():
        default = f"`{json.dumps(each['default'])}`" if "default" in each else ""
        about = str(each.get("description", "")).replace("|", "\\|")
        rows.append(f"| `{key}` | {default} | {about} |")
    return "\n".join(rows)
