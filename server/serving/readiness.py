"""Whether the server wants traffic: from the end of its first loading to its shutdown, while some model is in service."""

from collections.abc import Callable


class Readiness:
    """The one place that health, probes and the protocols ask."""

    def __init__(self, any_served: Callable[[], bool], models: str) -> None:
        """`any_served` tells whether a model is in service; `models` is where they are looked for, for people."""
        self._any_served = any_served
        self._models = models
        self._phase = "loading"

    @property
    def reason(self) -> str:
        """Why the server wants no traffic; empty when it does."""
        if self._phase or self._any_served():
            return self._phase
        return f"no model in service under {self._models}; ListModels and the log say why"

    def loaded(self) -> None:
        """The first loading is over."""
        self._phase = ""

    def draining(self) -> None:
        """The shutdown has begun."""
        self._phase = "shutting down"
