"""`python -m exporter keras|keras-application|onnx|tensor|layers|optimise`: the command line of the exporter."""

import typer

from exporter.from_keras import command as from_keras
from exporter.from_onnx import command as from_onnx
from exporter.optimise import command as optimising

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # errors in one line, not in a box that breaks paths
    help="Make model bundles for the server.",
)


@app.callback()
def main() -> None:
    """Make model bundles for the server."""


app.command("keras")(from_keras.keras)
app.command("keras-application")(from_keras.keras_application)
app.command("onnx")(from_onnx.onnx)
app.command("tensor")(from_onnx.tensor)
app.command("layers")(from_onnx.layers)
app.command("optimise")(optimising.optimise)

if __name__ == "__main__":
    app(prog_name="python -m exporter")
