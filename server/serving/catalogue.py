"""Which versions of which models there are, in which state, and which one answers.

When a request names no version, the highest one in service answers. A version that is refused stays here with its reason and takes
nothing away from the others.
"""

from dataclasses import dataclass

from server.errors import ModelNotFoundError, UnavailableError
from server.events import Events, ModelChanged, ModelState
from server.serving.jobs import ModelStatus
from server.serving.models import ServedClassifier, ServedModel, ServedTensors

SERVED = (ServedClassifier, ServedTensors)


@dataclass(frozen=True)
class NotServed:
    """A version that does not answer, and why."""

    state: ModelState
    reason: str


Entry = ServedModel | NotServed


class Catalogue:
    """Finds models by name and version. Whoever fills it calls `enter`."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._models: dict[str, dict[int, Entry]] = {}
        self._numbers: dict[tuple[str, int | None], int] = {}  # what `number` has found since the last change

    def enter(self, name: str, version: int, entry: Entry) -> None:
        """A version is in this state from now on; an event tells it."""
        self._models.setdefault(name, {})[version] = entry
        self._numbers.clear()
        if isinstance(entry, SERVED):
            engine = entry.engine
            change = ModelChanged(
                name, str(version), ModelState.SERVING, "", engine.name, engine.precision, engine.device
            )
        else:
            change = ModelChanged(name, str(version), entry.state, entry.reason)
        self._events.emit(change)

    def versions(self, name: str) -> dict[int, Entry]:
        """What is known of a model's versions; empty when there is no such model."""
        return dict(self._models.get(name, {}))

    def entries(self) -> list[tuple[str, int, Entry]]:
        """Every version of every model, by name and number."""
        return [
            (name, version, entry)
            for name, versions in sorted(self._models.items())
            for version, entry in sorted(versions.items())
        ]

    def served(self) -> list[ServedModel]:
        """The versions in service."""
        entries = (entry for versions in self._models.values() for entry in versions.values())
        return [entry for entry in entries if isinstance(entry, SERVED)]

    def is_serving(self, name: str) -> bool:
        """Whether some version of the model is in service."""
        return any(isinstance(entry, SERVED) for entry in self._models.get(name, {}).values())

    def number(self, name: str, version: int | None) -> int:
        """The number of the version that a request means, whatever its state. Raises ModelNotFoundError."""
        known = self._numbers.get((name, version))
        if known is None:
            known = self._numbers[name, version] = self._find(name, version)
        return known

    def _find(self, name: str, version: int | None) -> int:
        versions = self._models.get(name)
        if not versions:
            raise ModelNotFoundError(f"no model {name!r}; there are: {', '.join(sorted(self._models)) or 'none'}")
        if version is None:
            return _default(versions)
        if version not in versions:
            known = ", ".join(str(number) for number in sorted(versions))
            raise ModelNotFoundError(f"model {name!r} has no version {version}; there are: {known}")
        return version

    def resolve(self, name: str, version: int | None) -> ServedModel:
        """The version in service that a request means.

        Raises ModelNotFoundError when there is none of that name or number, UnavailableError when it is there but loading
        or refused.
        """
        number = self.number(name, version)
        entry = self._models[name][number]
        if isinstance(entry, SERVED):
            return entry
        which = f"model {name!r}" if version is None else f"model {name!r} version {version}"
        raise UnavailableError(f"{which} is {entry.state}{': ' if entry.reason else ''}{entry.reason}")

    def status(self, name: str, version: int | None) -> ModelStatus:
        """One version, whatever its state. Raises ModelNotFoundError."""
        number = self.number(name, version)
        return self._status(name, number, self._models[name][number])

    def statuses(self) -> list[ModelStatus]:
        """Every version of every model, by name and number."""
        return [self._status(*each) for each in self.entries()]

    def _status(self, name: str, version: int, entry: Entry) -> ModelStatus:
        is_default = version == _default(self._models[name])
        if isinstance(entry, SERVED):
            return ModelStatus(name, version, ModelState.SERVING, "", is_default, entry.running)
        return ModelStatus(name, version, entry.state, entry.reason, is_default=False, running=None)


def _default(versions: dict[int, Entry]) -> int:
    """The highest version in service; without one, the highest, so that its reason can be told."""
    served = [version for version, entry in versions.items() if isinstance(entry, SERVED)]
    return max(served or versions)
