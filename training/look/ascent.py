"""Gradient ascent at the pixels: the step that filters and dreams have in common."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Gain = Callable[[Any], Any]  # pixels [N, H, W, C] -> what each picture is to have more of, [N]


def climber(gain: Gain) -> Callable[[Any, Any, Any], Any]:
    """A compiled function (pixels [N, H, W, C] 0..255, step in grey levels, shift int32 [2]) -> pixels after one step.

    The gradient of each picture is divided by the root of its mean square, so that a step is as long for a layer with
    small numbers as for one with large ones. It is taken on the picture rolled by `shift`: what depends on where the grid
    of strides lies does not build up (A. Mordvintsev et al., DeepDream, 2015).
    """

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def climb(pixels: Any, step: Any, shift: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            total = tf.reduce_sum(gain(tf.roll(pixels, shift, axis=(1, 2))))
        gradient = tape.gradient(total, pixels)
        size = tf.sqrt(tf.reduce_mean(gradient**2, axis=(1, 2, 3), keepdims=True))
        return tf.clip_by_value(pixels + step * gradient / (size + 1e-12), 0.0, 255.0)

    step: Callable[[Any, Any, Any], Any] = climb
    return step
