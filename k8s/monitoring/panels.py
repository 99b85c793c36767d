"""How the dashboard's panels are drawn: figures, lines over time, tables, and the choices at its top."""

from collections.abc import Sequence
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

Query = tuple[str, str]  # PromQL and the legend of its series
Panel = stat.Panel | timeseries.Panel | table.Panel


def _queries(queries: Sequence[Query], *, instant: bool = False) -> list[Builder[Dataquery]]:
    made: list[Builder[Dataquery]] = []
    for name, (expression, legend) in zip(ascii_uppercase, queries, strict=False):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(name).datasource(SOURCE)
        made.append(query)
        if instant:
            query.instant().format(PromQueryFormat.TABLE)
    return made


def number(title: str, unit: str, expression: str, text: str) -> stat.Panel:
    """One figure, the latest."""
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"])
    panel = stat.Panel().title(title).description(text).unit(unit).datasource(SOURCE).reduce_options(reduced)
    return panel.targets(_queries([(expression, "")])).height(4).span(4)


def lines(title: str, unit: str, *queries: Query, text: str = "", stacked: bool = False) -> timeseries.Panel:
    """Figures over time."""
    legend = common.VizLegendOptions().show_legend(True).placement(shapes.LegendPlacement.BOTTOM)
    panel = timeseries.Panel().title(title).description(text).unit(unit).datasource(SOURCE).min(0)
    panel.legend(legend.display_mode(shapes.LegendDisplayMode.LIST).calcs([]))
    panel.tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
    if stacked:
        panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL)).fill_opacity(30)
    return panel.targets(_queries(queries)).height(8).span(8)


def listed(title: str, expression: str, *columns: str, text: str = "") -> table.Panel:
    """A table of the labels of series, the newest only."""
    shown = {
        "excludeByName": {"Time": True, "Value": True},
        "indexByName": {column: place for place, column in enumerate(columns)},
        "renameByName": {},
    }
    panel = table.Panel().show_header(True).title(title).description(text).datasource(SOURCE)
    panel.with_transformation(DataTransformerConfig(id_val="organize", options=shown))
    return panel.targets(_queries([(expression, "")], instant=True)).height(8).span(8)


def choice(name: str, label: str, metric: str) -> dashboard.QueryVariable:
    """A variable of the values of a label."""
    chosen = (
        dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(metric).sort(VariableSort.ALPHABETICAL_ASC)
    )
    chosen.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).multi(True).include_all(True).all_value(".*")
    return chosen.current(VariableOption(selected=True, text="All", value="$__all"))
