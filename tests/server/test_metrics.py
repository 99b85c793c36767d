"""What is counted for what happened."""

from server.events import (
    BatchDone,
    BundleTried,
    ImagesAnswered,
    ImagesFailed,
    ModelChanged,
    ModelForgotten,
    ModelState,
    RequestDone,
    RolesChanged,
    ShadowRan,
    Timings,
)
from server.metrics import Metrics
from tests.server.gated import metered


def page(metrics: Metrics) -> list[str]:
    text, _ = metrics.page(inflight=3, queued=[("cats", "1", 2)])
    return text.decode().splitlines()


def test_an_answered_image_is_counted_once_and_timed_in_every_stage() -> None:
    events, metrics = metered()
    events.emit(ImagesAnswered("cats", "1", Timings(0.001, 0.002, 0.003, 0.004, 0.011, 8), ("tabby",), (0.97,)))
    lines = page(metrics)
    assert 'seethrough_images_total{model="cats",outcome="ok",version="1"} 1.0' in lines
    assert 'seethrough_predictions_total{label="tabby",model="cats",version="1"} 1.0' in lines
    for stage, seconds in (("decode", 0.001), ("queue", 0.002), ("infer", 0.003), ("render", 0.004), ("total", 0.011)):
        assert f'seethrough_stage_seconds_sum{{model="cats",stage="{stage}",version="1"}} {seconds}' in lines
    assert 'seethrough_confidence_bucket{le="0.95",model="cats",version="1"} 0.0' in lines
    assert 'seethrough_confidence_bucket{le="0.99",model="cats",version="1"} 1.0' in lines


def test_images_without_an_answer_are_counted_by_what_became_of_them() -> None:
    events, metrics = metered()
    events.emit(ImagesFailed("cats", "1", "shed", 5))
    assert 'seethrough_images_total{model="cats",outcome="shed",version="1"} 5.0' in page(metrics)


def test_calls_are_counted_by_code_and_batches_by_size() -> None:
    events, metrics = metered()
    events.emit(RequestDone("cats", "1", "Classify", "NOT_FOUND"))
    events.emit(BatchDone("cats", "1", 6, 0.1))
    lines = page(metrics)
    assert 'seethrough_requests_total{code="NOT_FOUND",model="cats",rpc="Classify",version="1"} 1.0' in lines
    assert 'seethrough_batch_images_bucket{le="4.0",model="cats",version="1"} 0.0' in lines
    assert 'seethrough_batch_images_bucket{le="8.0",model="cats",version="1"} 1.0' in lines


def test_gauges_are_those_of_the_moment() -> None:
    lines = page(metered()[1])
    assert "seethrough_inflight_images 3.0" in lines
    assert 'seethrough_queue_images{model="cats",version="1"} 2.0' in lines


def test_a_version_is_in_one_state_at_a_time() -> None:
    events, metrics = metered()
    events.emit(ModelChanged("cats", "1", ModelState.LOADING))
    events.emit(ModelChanged("cats", "1", ModelState.REFUSED, "flipped"))
    events.emit(BundleTried("cats", "1", "refused"))
    lines = page(metrics)
    assert 'seethrough_model_state{model="cats",state="loading",version="1"} 0.0' in lines
    assert 'seethrough_model_state{model="cats",state="refused",version="1"} 1.0' in lines
    assert 'seethrough_loads_total{outcome="refused"} 1.0' in lines


def test_labels_move_and_a_bad_file_shows() -> None:
    events, metrics = metered()
    events.emit(RolesChanged("cats", {"stable": 1, "canary": 2}, False))
    events.emit(RolesChanged("cats", {"stable": 2}, False, "versions.toml: no good"))
    lines = [line for line in page(metrics) if line.startswith(("seethrough_model_label{", "seethrough_roles"))]
    assert lines == [
        'seethrough_model_label{label="stable",model="cats",version="2"} 1.0',
        'seethrough_roles_refused{model="cats"} 1.0',
    ]


def test_a_version_in_service_whose_newer_bundle_was_refused_is_in_both_states() -> None:
    events, metrics = metered()
    events.emit(ModelChanged("cats", "1", ModelState.SERVING, "golden check: ...", "onnxruntime", "fp32", "cpu"))
    lines = page(metrics)
    assert 'seethrough_model_state{model="cats",state="serving",version="1"} 1.0' in lines
    assert 'seethrough_model_state{model="cats",state="refused",version="1"} 1.0' in lines


def test_what_has_not_happened_yet_is_0_so_that_the_first_time_is_an_increase() -> None:
    events, metrics = metered()
    events.emit(ModelChanged("cats", "1", ModelState.SERVING, "", "onnxruntime", "fp32", "cpu"))
    events.emit(ImagesFailed("cats", "1", "invalid", 1))
    lines = page(metrics)
    assert 'seethrough_engine_faults_total{fault="hung",model="cats",version="1"} 0.0' in lines
    assert 'seethrough_images_total{model="cats",outcome="shed",version="1"} 0.0' in lines
    assert 'seethrough_loads_total{outcome="refused"} 0.0' in lines


def test_nothing_is_told_of_a_version_that_is_forgotten() -> None:
    events, metrics = metered()
    for version in ("1", "2"):
        events.emit(ModelChanged("cats", version, ModelState.SERVING, "", "onnxruntime", "fp32", "cpu"))
        events.emit(ModelChanged("cats", version, ModelState.UNLOADED))
        events.emit(RequestDone("cats", version, "Classify", "OK"))
    events.emit(ShadowRan("cats", "1", "2", "compared", 1, 0, (0.1,)))
    events.emit(ModelForgotten("cats", "1"))
    text, _ = metrics.page(inflight=0, queued=[])
    assert 'version="1"' not in text.decode()
    assert 'version="2"' in text.decode()


def test_nothing_waits_for_a_version_that_is_gone() -> None:
    metrics = metered()[1]
    page(metrics)
    text, _ = metrics.page(inflight=0, queued=[])
    assert "seethrough_queue_images{" not in text.decode()
