"""The data sets a recipe can name. Each is a structure of its recipe keys with `labels` and `load()`; `Data` lists them."""

from training.data.digits import Digits
from training.data.fashion import Fashion
from training.data.sprites import Sprites

Data = Digits | Fashion | Sprites
