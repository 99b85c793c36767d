"""`python -m k8s.monitoring.dashboard > k8s/monitoring/dashboard.json`: the Grafana dashboard.

Written by Grafana's own builders, because fifty panels of JSON cannot be reviewed; what a panel asks is said once, below, and how it is
drawn in panels.py. grafana-foundation-sdk comes with the development environment, and a test keeps the JSON current.
"""

import sys

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync

from k8s.monitoring.panels import Panel, choice, lines, listed, number

# Of the server, of its models, and of the calls that ask for answers.
_JOB = 'namespace=~"$namespace",job=~"$job"'
_MODEL = f'{_JOB},model=~"$model"'
_CALLS = f'{_MODEL},rpc=~"Classify.*|Model.*Infer"'
_SPOILT = f'{_CALLS},code=~"INTERNAL|UNAVAILABLE|DEADLINE_EXCEEDED"'


def _rate(metric: str, selected: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{selected}}}[$__rate_interval]))"


def _share(part: str, whole: str) -> str:
    """`part` may have no series yet."""
    return f"({part} or 0 * {whole}) / {whole}"


def _quantile(quantile: float, metric: str, by: str, selected: str = _MODEL) -> str:
    return f"histogram_quantile({quantile}, {_rate(f'{metric}_bucket', selected, f'{by}, le')})"


def _mean(metric: str, by: str) -> str:
    return f"{_rate(f'{metric}_sum', _MODEL, by)} / {_rate(f'{metric}_count', _MODEL, by)}"


_TOTAL = f'{_MODEL},stage="total"'
_FAILED = _share(
    _rate("seethrough_requests_total", _SPOILT, "model"), _rate("seethrough_requests_total", _CALLS, "model")
)
_SHED = _share(
    _rate("seethrough_images_total", f'{_JOB},outcome="shed"', "job"), _rate("seethrough_images_total", _JOB, "job")
)
_BUDGET = "1 - max(seethrough:objective:availability)"
_COMPARED = _rate("seethrough_shadow_images_total", f'{_MODEL},outcome="compared"', "model, version, of")


def glance() -> list[Panel]:
    """What one looks at first."""
    return [
        number(
            "Images answered",
            "reqps",
            f'sum(rate(seethrough_images_total{{{_MODEL},outcome="ok"}}[$__rate_interval]))',
            "A second.",
        ),
        number(
            "Calls failed",
            "percentunit",
            f"max({_FAILED})",
            "Of the model with the most: inside, without an engine, or out of time.",
        ),
        number(
            "p99",
            "s",
            f"max({_quantile(0.99, 'seethrough_stage_seconds', 'model', _TOTAL)})",
            "Of the slowest model, from arrival to answer.",
        ),
        number(
            "In work", "short", f"sum(seethrough_inflight_images{{{_JOB}}})", "Images admitted and not answered yet."
        ),
        number("Servers", "short", f"sum(up{{{_JOB}}})", "That answer Prometheus."),
        number(
            "Alerts",
            "short",
            f'count(ALERTS{{alertname=~"Seethrough.*",alertstate="firing",{_JOB}}}) or vector(0)',
            "Firing now.",
        ),
    ]


def _burning(window: str) -> str:
    """The burn rate; 0 for a model that has not had an error yet, and no series of them."""
    errors = f"max by (model) (seethrough:request_errors:ratio_rate{window}{{{_MODEL}}})"
    return f"({errors} or 0 * max by (model) (seethrough_model_state{{{_MODEL}}})) / scalar({_BUDGET})"


def traffic() -> list[Panel]:
    """What comes, and what becomes of it."""
    return [
        lines("Calls by code", "reqps", (_rate("seethrough_requests_total", _CALLS, "code"), "{{code}}"), stacked=True),
        lines(
            "Images by outcome",
            "reqps",
            (_rate("seethrough_images_total", _MODEL, "outcome"), "{{outcome}}"),
            stacked=True,
        ),
        lines("Calls by RPC", "reqps", (_rate("seethrough_requests_total", _MODEL, "rpc"), "{{rpc}}"), stacked=True),
        lines(
            "Calls failed",
            "percentunit",
            (_FAILED, "{{model}}"),
            (_BUDGET, "objective"),
            text="INTERNAL, UNAVAILABLE and DEADLINE_EXCEEDED, of all.",
        ),
        lines(
            "Error budget: burn rate",
            "short",
            *[(_burning(window), f"{{{{model}}}} {window}") for window in ("5m", "1h", "6h")],
            text="1 spends the budget of 30 days in 30 days; alerts at 14.4 over an hour and 6 over six.",
        ),
        lines("Shed", "percentunit", (_SHED, "{{job}}"), text="Images refused because the server was full."),
    ]


def latency() -> list[Panel]:
    """Where the time goes."""
    stages = _rate("seethrough_stage_seconds_sum", f'{_MODEL},stage!="total"', "stage")
    answered = f"scalar(sum(rate(seethrough_stage_seconds_count{{{_TOTAL}}}[$__rate_interval])))"
    quantiles = [
        (_quantile(quantile, "seethrough_stage_seconds", "model", _TOTAL), f"{{{{model}}}} p{round(quantile * 100)}")
        for quantile in (0.5, 0.9, 0.99)
    ]
    return [
        lines("From arrival to answer", "s", *quantiles, ("max(seethrough:objective:p99_seconds)", "objective p99")),
        lines("p99 of each stage", "s", (_quantile(0.99, "seethrough_stage_seconds", "stage"), "{{stage}}")),
        lines(
            "Mean time by stage",
            "s",
            (f"{stages} / {answered}", "{{stage}}"),
            stacked=True,
            text="Of an answered image.",
        ),
    ]


def batching() -> list[Panel]:
    """What waits, and how it is run."""
    return [
        lines(
            "Images in one run of the engine",
            "short",
            (_mean("seethrough_batch_images", "model"), "{{model}} mean"),
            (_quantile(0.9, "seethrough_batch_images", "model"), "{{model}} p90"),
        ),
        lines(
            "Runs of the engine",
            "ops",
            (_rate("seethrough_batch_images_count", _MODEL, "model, version"), "{{model}}/{{version}}"),
        ),
        lines(
            "Waiting for the engine",
            "short",
            (f"sum by (model) (seethrough_queue_images{{{_MODEL}}})", "{{model}}"),
            text="Images.",
        ),
        lines(
            "Work that waits",
            "s",
            (f"max by (model) (seethrough:queue_wait_seconds:avg5m{{{_MODEL}}})", "{{model}}"),
            text="What waits, divided by what is answered a second.",
        ),
        lines(
            "In work",
            "short",
            (f"sum by (instance) (seethrough_inflight_images{{{_JOB}}})", "{{instance}}"),
            text="Images admitted and not answered yet, of each server.",
        ),
        lines(
            "Time of an engine's runs",
            "s",
            (_quantile(0.5, "seethrough_stage_seconds", "model", f'{_MODEL},stage="infer"'), "{{model}} p50"),
            (_quantile(0.99, "seethrough_stage_seconds", "model", f'{_MODEL},stage="infer"'), "{{model}} p99"),
        ),
    ]


def models() -> list[Panel]:
    """What is in service, and how it does."""
    info = f"max by (model, version, engine, precision, device) (seethrough_model_info{{{_MODEL}}})"
    state = f'max by (model, version, state) (seethrough_model_state{{{_MODEL},state!="unloaded"}}) == 1'
    label = f"max by (model, version, label) (seethrough_model_label{{{_MODEL}}})"
    disagreed = _rate("seethrough_shadow_disagreement_total", _MODEL, "model, version, of")
    faults = f"sum by (model, version, fault) (increase(seethrough_engine_faults_total{{{_MODEL}}}[$__rate_interval]))"
    loads = f"sum by (outcome) (increase(seethrough_loads_total{{{_JOB}}}[$__rate_interval]))"
    return [
        listed("In service", info, "model", "version", "engine", "precision", "device"),
        listed(
            "States",
            state,
            "model",
            "version",
            "state",
            text="refused beside serving: a newer bundle of this number was refused.",
        ),
        listed("Labels", label, "model", "version", "label"),
        lines(
            "Answers by version",
            "reqps",
            (_rate("seethrough_images_total", f'{_MODEL},outcome="ok"', "model, version"), "{{model}}/{{version}}"),
            stacked=True,
        ),
        lines("Engine faults", "short", (faults, "{{model}}/{{version}} {{fault}}")),
        lines("Bundles loaded", "short", (loads, "{{outcome}}")),
        lines(
            "Shadow: other answers",
            "percentunit",
            (f"{disagreed} / {_COMPARED}", "{{model}}/{{version}} beside {{of}}"),
            text="Of the images that both versions answered.",
        ),
        lines(
            "Shadow: largest difference of a probability, p90",
            "percentunit",
            (
                _quantile(0.9, "seethrough_shadow_probability_difference", "model, version, of"),
                "{{model}}/{{version}} beside {{of}}",
            ),
        ),
        lines(
            "Shadow: images",
            "reqps",
            (_rate("seethrough_shadow_images_total", _MODEL, "outcome"), "{{outcome}}"),
            stacked=True,
        ),
    ]


def answers() -> list[Panel]:
    """What the models say."""
    labels = _rate("seethrough_predictions_total", _MODEL, "model, label")
    mix = f"{labels} / on (model) group_left () {_rate('seethrough_predictions_total', _MODEL, 'model')}"
    return [
        lines(
            "Confidence",
            "percentunit",
            *[
                (_quantile(quantile, "seethrough_confidence", "model"), f"{{{{model}}}} p{round(quantile * 100)}")
                for quantile in (0.1, 0.5, 0.9)
            ],
            text="Probability of the most probable class.",
        ),
        lines(
            "Confidence against a week before",
            "short",
            (f"max by (model) (seethrough:confidence:shift_1w{{{_MODEL}}})", "{{model}}"),
            text="Largest distance of the two distribution functions, day against day: 0 the same, 1 disjoint. Alert at 0.1.",
        ),
        lines(
            "Class mix",
            "percentunit",
            (mix, "{{model}}: {{label}}"),
            stacked=True,
            text="Share of each most probable class.",
        ),
    ]


def process() -> list[Panel]:
    """What the servers take of their machines."""
    return [
        lines(
            "Processor",
            "short",
            (f"rate(process_cpu_seconds_total{{{_JOB}}}[$__rate_interval])", "{{instance}}"),
            text="Cores.",
        ),
        lines(
            "Memory",
            "bytes",
            (f"process_resident_memory_bytes{{{_JOB}}}", "{{instance}}"),
            text="Resident; of --processes the sum.",
        ),
        lines(
            "GPU memory",
            "bytes",
            (f"seethrough_gpu_memory_used_bytes{{{_JOB}}}", "{{instance}} GPU {{gpu}} used"),
            (f"seethrough_gpu_memory_total_bytes{{{_JOB}}}", "{{instance}} GPU {{gpu}} total"),
            text="Of the whole device, whoever uses it.",
        ),
        lines(
            "Open files",
            "percentunit",
            (f"process_open_fds{{{_JOB}}} / process_max_fds{{{_JOB}}}", "{{instance}}"),
            text="Of those that it may open; connections are files, too.",
        ),
        lines(
            "Age",
            "s",
            (f"time() - process_start_time_seconds{{{_JOB}}}", "{{instance}}"),
            text="Since the server started.",
        ),
        lines("Scrapes", "s", (f"scrape_duration_seconds{{{_JOB}}}", "{{instance}}"), text="How long /metrics takes."),
    ]


ROWS = {
    "At a glance": glance,
    "Traffic and errors": traffic,
    "Latency": latency,
    "Batches and queue": batching,
    "Models": models,
    "Answers": answers,
    "Process": process,
}


def as_json() -> str:
    """The dashboard as Grafana reads it."""
    board = dashboard.Dashboard("Seethrough").uid("seethrough").tags(["seethrough"]).timezone("browser")
    board.description("Image models: what is asked, how fast it is answered, and what the answers look like.")
    board.time("now-3h", "now").refresh("30s").tooltip(DashboardCursorSync.CROSSHAIR).editable()
    board.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    board.with_variable(choice("namespace", "Namespace", "label_values(seethrough_inflight_images, namespace)"))
    board.with_variable(choice("job", "Job", 'label_values(seethrough_inflight_images{namespace=~"$namespace"}, job)'))
    board.with_variable(choice("model", "Model", f"label_values(seethrough_model_state{{{_JOB}}}, model)"))
    for title, panels in ROWS.items():
        board.with_row(dashboard.Row(title))
        for panel in panels():
            board.with_panel(panel)
    built = board.build()
    for identity, drawn in enumerate(built.panels or [], start=1):
        drawn.id_val = identity
    return JSONEncoder(sort_keys=True, indent=2).encode(built) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_json())
