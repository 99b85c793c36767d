"""The command line: `python -m training COMMAND`. Each command is a module of training.commands."""

import typer

from training.commands import augmentation, compare, few, look, pictures, report, search, shelf, train

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Train networks from recipes.")
app.command("list")(shelf.show)
app.command("run")(train.run)
app.command("compare")(compare.compare)
app.command("search")(search.search)
app.command("augmentation")(augmentation.augmentation)
app.command("pictures")(pictures.write)
app.command("record")(shelf.record)
app.command("few")(few.few)
app.command("report")(report.report)
app.command("calibrate")(report.calibrate)
app.add_typer(look.app, name="look")

if __name__ == "__main__":
    app(prog_name="python -m training")
