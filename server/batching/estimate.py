"""How long things take, learnt from those that were done: the estimates that refusals are made of."""


class RunningMean:
    """The exponentially weighted mean of what was measured; the first measurement counts as the mean before it."""

    __slots__ = ("_newest", "value")

    def __init__(self, newest: float) -> None:
        """`newest` is the weight of the newest measurement, 0..1."""
        self._newest = newest
        self.value = 0.0  # before the first

    def add(self, measured: float) -> None:
        """One more, above 0."""
        self.value += (self._newest if self.value else 1.0) * (measured - self.value)
