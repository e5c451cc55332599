"""scripts/docs: the tables of README.md and docs/ are written from the code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from charhost.errors import DirectoryError, NotAttempted
from scripts import document_tables, performance_table
from scripts.benchmarks.row import Goal, Rows
from tests.documents import read

PAGE = "Before.\n\n<!-- table: commands -->\n{table}\n<!-- end of table -->\n\nAfter.\n"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only page: its table is out of date."""
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(table="\n| old |\n"))
    monkeypatch.setattr(document_tables, "PAGES", [page])
    monkeypatch.setattr(document_tables, "ROOT", tmp_path)
    return page


def test_every_page_is_up_to_date() -> None:
    """The tables are as the code has them; `./scripts/docs` mends them."""
    assert document_tables.main(["--check"]) == 0


def test_an_outdated_page_is_reported(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--check` the page is named, the status is 1, and the page stays."""
    before = page.read_text()
    assert document_tables.main(["--check"]) == 1
    assert "page.md: out of date, run ./scripts/docs" in capsys.readouterr().err
    assert page.read_text() == before


def test_an_outdated_page_is_written(page: Path) -> None:
    """The table is replaced, the text around it stays, and the page is up to date."""
    assert document_tables.main([]) == 0
    assert page.read_text() == PAGE.format(table="\n" + document_tables.commands())
    assert document_tables.main(["--check"]) == 0


def test_an_earlier_version_has_a_column_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of another checkout stand under its commit, with their range; a row that it lacks has an empty cell."""
    rows = Rows()
    for of, figure in (("naive", 4), ("charhost", 1), ("charhost", 3), ("beside", 2)):
        rows.add("first load, ms", Goal(1, "naive"), of, figure)
    rows.add("other, ms", Goal(1), "charhost", 1)
    monkeypatch.setattr(performance_table, "_FIGURES", file := tmp_path / "figures.json")
    file.write_text(json.dumps({"beside": "abc1234", "rows": [row.as_json for row in rows.values()]}))
    header, (first, second) = performance_table.figures()
    assert header[:4] == ("work", "charhost", "abc1234", "beside")
    assert first[:4] == ("first load, ms", "2.0 [1.0–3.0]", "2.0 [2.0–2.0]", "naive 4.0")
    assert second[2] == ""


@pytest.mark.parametrize("table", document_tables.TABLES)
def test_every_table_stands_on_a_page(table: str) -> None:
    """Each table that can be written is on one page."""
    texts = [page.read_text(encoding="utf-8") for page in document_tables.PAGES]
    assert sum(f"<!-- table: {table} -->" in text for text in texts) == 1


@pytest.mark.parametrize("error", [*DirectoryError.__subclasses__(), *NotAttempted.__subclasses__()])
def test_every_code_of_a_refusal_is_explained(error: type[DirectoryError | NotAttempted]) -> None:
    """The table of statuses has the code of each refusal."""
    assert f"`{error.code}`" in read("reloading")


def test_a_row_of_a_request_has_values_default_and_meaning() -> None:
    """A field has its permitted values or its type, its default as JSON and its description; null is only a default."""

    class Body(BaseModel):
        mode: Literal["all", "new"] | None = Field(None, description="The mode.")
        dry: bool = Field(False, description="Change nothing.")

    assert document_tables.fields("field", Body).splitlines()[2:] == [
        '| `mode` | `"all"`, `"new"` | `null` | The mode. |',
        "| `dry` | boolean | `false` | Change nothing. |",
    ]
