"""Result files are Markdown that renders, with the machine at their head."""

from pathlib import Path

from bench.tables import Results, publish


def test_a_table_is_printed_and_written_as_markdown_with_its_pipes_escaped(tmp_path: Path) -> None:
    table = Results("animals", ("", "value"), [("max |Δp|", "1e-6")], ("A note.",))
    publish([table], tmp_path / "results" / "agreement.md")
    head, body = (tmp_path / "results" / "agreement.md").read_text().split("### animals\n")
    assert "cores" in head
    assert "onnxruntime" in head
    assert body == "\n|  | value |\n| --- | --: |\n| max \\|Δp\\| | 1e-6 |\n\nA note.\n"
