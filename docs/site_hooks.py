"""Add the benchmark results and the published recipes, to which the pages link, to the site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks/results", "conf/recipes")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Give the site a copy of every file that lies outside docs and may be linked to."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".md", ".yml", ".png", ".svg", ".json"}:
                name = path.relative_to(ROOT).as_posix()
                files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point a link from docs/ to a folder beside it at the copy."""
    for folder in FOLDERS:
        markdown = markdown.replace(f"](../{folder}", f"]({folder}")
    return markdown
