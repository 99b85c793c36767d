"""Why a model cannot be exported. Every message is written for the person who typed the command."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.report import Check


class ExportError(Exception):
    """The export cannot be done; the message says what was wrong and what to do."""


class UnsupportedGraphError(ExportError):
    """The graph has no place for Grad-CAM, or an operator on the way back to the feature map has no gradient rule."""


class FailedChecksError(ExportError):
    """The exported model does not answer as the trained one; the message lists every check that failed."""

    def __init__(self, failed: Sequence["Check"], total: int) -> None:
        lines = [f"{len(failed)} of {total} checks failed, no bundle was written:", *(f"  {check}" for check in failed)]
        super().__init__("\n".join(lines))
        self.failed = list(failed)
