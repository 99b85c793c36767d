"""One table in two dresses: for the terminal and as Markdown for a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import machine


@dataclass(frozen=True)
class Results:
    """A titled table; the first column holds names, the others figures that are formatted already."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    plot: str = ""  # a picture of the figures: the name of a file beside the Markdown

    def markdown(self) -> str:
        """As Markdown."""
        lines = [self.columns, ["---", *["--:"] * (len(self.columns) - 1)], *self.rows]
        body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        plot = [f"![{self.title}]({self.plot})"] if self.plot else []
        return "\n\n".join((f"### {self.title}", body, *self.notes, *plot)) + "\n"

    def terminal(self) -> Table:
        """For rich, without title and notes, which a narrow table would fold."""
        table = Table()
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        return table


def publish(tables: Sequence[Results], file: Path | None) -> None:
    """Prints the tables, and writes them to `file` below a description of the machine."""
    show(tables)
    write(tables, file)


def show(tables: Sequence[Results]) -> None:
    """Prints the tables."""
    console = Console(highlight=False)
    for table in tables:
        console.print(f"\n[bold]{table.title}[/]", table.terminal(), *table.notes, sep="\n")


def write(tables: Sequence[Results], file: Path | None) -> None:
    """Writes the tables to `file`, if there is to be one, below a description of the machine."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join((machine.describe() + "\n", *(table.markdown() for table in tables))))
