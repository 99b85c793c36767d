"""How the figures of several processes become one page."""

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from server import families, metrics_pages
from server.events import BatchDone, ModelChanged, ModelState, RequestDone
from server.families import Family
from tests.server.gated import metered


def told(calls: int, batch: int, inflight: int, queued: int) -> list[Family]:
    """What a process tells, after its way as JSON."""
    events, metrics = metered()
    events.emit(ModelChanged("cats", "1", ModelState.SERVING, "", "onnxruntime", "fp32", "cpu"))
    for _ in range(calls):
        events.emit(RequestDone("cats", "1", "Classify", "OK"))
    events.emit(BatchDone("cats", "1", batch, 0.1))
    plain = metrics_pages.plain(metrics.families(inflight, [("cats", "1", queued)]))
    return msgspec.json.decode(msgspec.json.encode(plain), type=list[Family])


def lines(*pages: list[Family]) -> list[str]:
    text, _ = metrics_pages.page(families.merged(pages))
    return text.decode().splitlines()


def test_counters_histograms_and_what_is_in_work_are_sums() -> None:
    page = lines(told(2, 3, 10, 4), told(5, 30, 1, 0))
    assert 'seethrough_requests_total{code="OK",model="cats",rpc="Classify",version="1"} 7.0' in page
    assert 'seethrough_batch_images_bucket{le="4.0",model="cats",version="1"} 1.0' in page
    assert 'seethrough_batch_images_bucket{le="+Inf",model="cats",version="1"} 2.0' in page
    assert 'seethrough_batch_images_sum{model="cats",version="1"} 33.0' in page
    assert "seethrough_inflight_images 11.0" in page
    assert 'seethrough_queue_images{model="cats",version="1"} 4.0' in page


def test_what_is_the_same_everywhere_is_not_counted_twice() -> None:
    page = lines(told(0, 1, 0, 0), told(0, 1, 0, 0))
    assert 'seethrough_model_state{model="cats",state="serving",version="1"} 1.0' in page
    info = 'seethrough_model_info{device="cpu",engine="onnxruntime",model="cats",precision="fp32",version="1"} 1.0'
    assert info in page


def test_what_a_process_counted_outlives_it_and_what_it_had_in_work_does_not() -> None:
    page = lines(told(2, 3, 10, 4), families.cumulative(told(5, 30, 7, 7)))
    assert 'seethrough_requests_total{code="OK",model="cats",rpc="Classify",version="1"} 7.0' in page
    assert "seethrough_inflight_images 10.0" in page


def test_one_page_is_written_as_the_process_would_have_written_it() -> None:
    events, metrics = metered()
    events.emit(RequestDone("cats", "1", "Classify", "OK"))
    own = text_string_to_metric_families(metrics.page(3, [])[0].decode())
    merged = text_string_to_metric_families("\n".join(lines(metrics_pages.plain(metrics.families(3, [])))) + "\n")
    assert [family.name for family in own] == [family.name for family in merged]


def test_every_gauge_has_its_rule() -> None:
    gauges = {family.name for family in told(1, 1, 1, 1) if family.kind not in ("counter", "histogram")}
    assert gauges == set(families.GAUGES)
