"""For each alert what makes it fire, and what lies next to that and does not: series as promtool writes them, `start+step x times`.

A series is named by all its labels but namespace and job, which they have in common.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """What Prometheus has scraped every `interval`, and whether `alert` fires `at` so long after the first scrape."""

    alert: str
    why: str
    series: Mapping[str, str]
    at: str
    fires: bool
    interval: str = "15s"
    labels: str = ""  # further ones of the alert, where there are several of its name


_CALLS = 'seethrough_requests_total{rpc="Classify",model="m",version="1",code="%s"}'
_IMAGES = 'seethrough_images_total{model="m",version="1",outcome="%s"}'
_TOTAL = 'seethrough_stage_seconds_%s{model="m",version="1",stage="total"%s}'
_CONFIDENCE = 'seethrough_confidence_%s{model="m",version="1"%s}'
_QUEUE = 'seethrough_queue_images{model="m",version="1"}'
_FAULTS = 'seethrough_engine_faults_total{model="m",version="1",fault="%s"}'
_STATE = 'seethrough_model_state{model="m",version="1",state="%s"}'
_SHADOW = 'seethrough_shadow_%s{model="m",version="2",of="1"%s}'


def _errors(code: str, of_10000: int, times: int) -> dict[str, str]:
    return {_CALLS % "OK": f"0+{10_000 - of_10000}x{times}", _CALLS % code: f"0+{of_10000}x{times}"}


def _burn(window: str, interval: str, at: str, over: int, under: int) -> list[Case]:
    return [
        Case(
            *("SeethroughErrorBudgetBurn", f"{window}: {count} of 10,000", _errors("INTERNAL", count, 300), at, fires),
            interval=interval,
            labels=f'window="{window}"',
        )
        for count, fires in ((over, True), (under, False))
    ]


_BURN = [
    *_burn("1h", "15s", "65m", 145, 143),
    *_burn("6h", "5m", "7h", 61, 59),
    *_burn("3d", "30m", "75h", 11, 9),
    *[
        Case("SeethroughErrorBudgetBurn", code, _errors(code, 145, 300), "65m", fires, labels='window="1h"')
        for code, fires in (("UNAVAILABLE", True), ("DEADLINE_EXCEEDED", True), ("NOT_FOUND", False))
    ],
    Case(
        *("SeethroughErrorBudgetBurn", "over, and ended 10 minutes ago"),
        {_CALLS % "OK": "0+9000x300", _CALLS % "INTERNAL": "0+1000x220 220000x80"},
        *("65m", False),
        labels='window="1h"',
    ),
]


def _latency(within: int, images: int) -> dict[str, str]:
    """Of `images` in each interval, so many are answered `within` half a second, and the others in less than one."""
    bounds = {"0.25": 0, "0.5": within, "1.0": images, "+Inf": images}
    buckets = {_TOTAL % ("bucket", f',le="{bound}"'): f"0+{count}x60" for bound, count in bounds.items()}
    return buckets | {_TOTAL % ("count", ""): f"0+{images}x60"}


def _queue(more: float, answered: int) -> dict[str, str]:
    """The queue grows by so many images from one scrape to the next, and so many are answered."""
    return {_QUEUE: f"100+{more}x100", _IMAGES % "ok": f"0+{answered}x100"}


_LOAD = [
    Case("SeethroughLatencyHigh", "980 of 1,000 in time", _latency(980, 1000), "15m", True),
    Case("SeethroughLatencyHigh", "990 of 1,000 in time", _latency(990, 1000), "15m", False),
    Case("SeethroughLatencyHigh", "80 slow images in 5 minutes", _latency(0, 4), "15m", False),
    Case("SeethroughQueueGrowing", "40 more a minute, 10 answered a second", _queue(10, 150), "15m", True),
    Case("SeethroughQueueGrowing", "5 more a minute: not a quarter in 5", _queue(1.25, 150), "15m", False),
    Case("SeethroughQueueGrowing", "40 more a minute, a tenth of a second of work", _queue(10, 150_000), "15m", False),
    Case("SeethroughQueueGrowing", "nothing is answered", {_QUEUE: "100+10x100", _IMAGES % "ok": "7x100"}, "15m", True),
    Case("SeethroughShedding", "5.1 %", {_IMAGES % "ok": "0+949x60", _IMAGES % "shed": "0+51x60"}, "12m", True),
    Case("SeethroughShedding", "4.9 %", {_IMAGES % "ok": "0+951x60", _IMAGES % "shed": "0+49x60"}, "12m", False),
]

# A week and two hours at 5 minutes each. Some calls, then none.
_UP = {"seethrough_inflight_images": "0x2045"}
_TRAFFIC = [
    Case("SeethroughNoTraffic", why, _UP | series, "170h", fires, interval="5m")
    for why, series, fires in (
        ("1.1 calls a minute a week ago", {_CALLS % "OK": "0+5.5x2000 11000x45"}, True),
        ("0.9 calls a minute a week ago", {_CALLS % "OK": "0+4.5x2000 9000x45"}, False),
        ("restarted, and not called since", {_CALLS % "OK": "0+5.5x2000 stale"}, True),
        ("called now as then", {_CALLS % "OK": "0+5.5x2045"}, False),
        ("never called", {}, False),
    )
]


def _shadow(compared: int, disagreements: int) -> dict[str, str]:
    return {
        _SHADOW % ("images_total", ',outcome="compared"'): f"0+{compared}x250",
        _SHADOW % ("disagreement_total", ""): f"0+{disagreements}x250",
    }


def _confidence(unsure: float, images: float) -> dict[str, str]:
    """`images` each half hour; half of them below 0.5 for a week, and then the share `unsure`."""
    total = f"0+{images}x400"
    low = f"0+{images / 2}x336 {images * 168 + images * unsure}+{images * unsure}x63"
    buckets = {_CONFIDENCE % ("bucket", f',le="{bound}"'): total for bound in ("1.0", "+Inf")}
    return buckets | {_CONFIDENCE % ("bucket", ',le="0.5"'): low, _CONFIDENCE % ("count", ""): total}


_MODELS = [
    Case("SeethroughEngineFault", "one", {_FAULTS % "raised": "0x20 1x20"}, "9m", True, labels='fault="raised"'),
    Case("SeethroughEngineFault", "one, 20 minutes ago", {_FAULTS % "raised": "0x20 1x100"}, "26m", False),
    Case("SeethroughEngineFault", "too little memory", {_FAULTS % "memory": "0x20 1x20"}, "9m", False),
    Case("SeethroughModelFailing", "for 1 minute", {_STATE % "failing": "0x4 1x10"}, "135s", True),
    Case("SeethroughModelFailing", "for 45 seconds", {_STATE % "failing": "0x4 1x10"}, "105s", False),
    Case("SeethroughVersionRefused", "refused", {_STATE % "refused": "1x10"}, "2m", True),
    Case("SeethroughVersionRefused", "loading", {_STATE % "loading": "1x10", _STATE % "refused": "0x10"}, "2m", False),
    Case("SeethroughRolesRefused", "refused", {'seethrough_roles_refused{model="m"}': "1x10"}, "2m", True),
    Case("SeethroughRolesRefused", "taken", {'seethrough_roles_refused{model="m"}': "0x10"}, "2m", False),
    Case("SeethroughCanaryDisagrees", "51 of 1,000", _shadow(1000, 51), "61m", True),
    Case("SeethroughCanaryDisagrees", "49 of 1,000", _shadow(1000, 49), "61m", False),
    Case("SeethroughCanaryDisagrees", "480 images in the hour", _shadow(2, 1), "61m", False),
    Case("SeethroughConfidenceShift", "0.12 apart", _confidence(0.62, 30), "194h", True, interval="30m"),
    Case("SeethroughConfidenceShift", "0.09 apart", _confidence(0.59, 30), "194h", False, interval="30m"),
    Case("SeethroughConfidenceShift", "960 images a day", _confidence(0.62, 20), "194h", False, interval="30m"),
]

_CERTIFICATE = 'seethrough_certificate_expiry_timestamp_seconds{instance="a",file="cert.pem"}'
_WEEK = 7 * 24 * 3600
_TARGETS = [
    Case("SeethroughTargetDown", "for 10 minutes", {'up{instance="a"}': "1x4 0x60"}, "675s", True),
    Case("SeethroughTargetDown", "for 9 minutes", {'up{instance="a"}': "1x4 0x60"}, "10m", False),
    Case("SeethroughDown", "both", {'up{instance="a"}': "0x20", 'up{instance="b"}': "0x20"}, "3m", True),
    Case("SeethroughDown", "one of two", {'up{instance="a"}': "0x20", 'up{instance="b"}': "1x20"}, "3m", False),
    Case("SeethroughDown", "no target at all", {}, "3m", True),
    *[
        Case("SeethroughRestarts", f"{count} {what}", {name: values}, "65m", count == 3)
        for count, steps in ((2, "1 1 2 2"), (3, "1 2 2 3"))
        for what, name, values in (
            ("starts", 'process_start_time_seconds{instance="a"}', f"0x100 {steps}x150"),
            ("processes", 'seethrough_process_restarts_total{instance="a"}', f"0x100 {steps}x150"),
        )
    ],
    Case("SeethroughCertificateExpires", "7 days but 1 minute", {_CERTIFICATE: f"{_WEEK - 60}x80"}, "20m", True),
    Case("SeethroughCertificateExpires", "7 days and 20 minutes", {_CERTIFICATE: f"{_WEEK + 1200}x80"}, "20m", False),
]

CASES = [*_BURN, *_LOAD, *_TRAFFIC, *_MODELS, *_TARGETS]
