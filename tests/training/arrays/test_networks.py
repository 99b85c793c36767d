"""The networks of the notes that classify no pictures, by their numbers of parameters, inputs and outputs."""

import pytest

from training import recipe


@pytest.mark.parametrize(
    ("name", "parameters"), [("brackets-rnn", 1368), ("brackets-lstm", 5472), ("brackets-gru", 4176)]
)
def test_the_recurrent_layers_of_24_units_on_32_inputs_have_the_parameters_of_the_notes(
    name: str, parameters: int
) -> None:
    """SimpleRNN: 24 x (24 + 32) + 24. LSTM: four of them. GRU: three, with a second bias (Keras' reset_after)."""
    assert recipe.load(name, []).build().get_layer("recurrent").count_params() == parameters


def test_the_penguins_have_two_layers_of_12_units_and_dropout() -> None:
    model = recipe.load("penguins", []).build()
    assert [layer.count_params() for layer in model.layers[2:]] == [60, 156, 0, 39]
    assert model.get_layer("dropout").rate == 0.1


def test_the_generator_has_an_lstm_of_128_units_and_a_softmax_over_all_bytes() -> None:
    model = recipe.load("python-text", []).build()
    assert model.get_layer("lstm").units == 128
    assert model.output_shape == (None, 256)
    assert model.get_layer("probabilities").activation.__name__ == "softmax"


@pytest.mark.parametrize("name", ["sprites-autoencoder", "sprites-denoiser"])
def test_pictures_come_out_as_large_as_they_went_in(name: str) -> None:
    model = recipe.load(name, []).build()
    assert model.input_shape == model.output_shape == (None, 90, 160, 3)


def test_the_code_of_the_autoencoder_is_a_22nd_of_the_picture() -> None:
    code = recipe.load("sprites-autoencoder", []).build().get_layer("pool3").output
    assert code.shape[1:] == (12, 20, 8)


def test_skips_add_maps_of_one_size_and_no_parameters() -> None:
    odd = ["preprocess.height=25", "preprocess.width=41"]
    plain, skipping = (
        recipe.load("sprites-denoiser", [f"network.skips={word}", *odd]).build() for word in ("false", "true")
    )
    assert plain.count_params() == skipping.count_params()
    assert skipping.get_layer("skip1").output.shape == skipping.get_layer("down2").output.shape == (None, 13, 21, 32)
    assert skipping.output_shape == (None, 25, 41, 3)
