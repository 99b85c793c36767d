"""The data sets a recipe can name. Each is a structure of its recipe keys with `kind`, `labels` and `load()`; `Data` lists them."""

from training.data.cifar10 import Cifar10
from training.data.digits import Digits
from training.data.fashion import Fashion
from training.data.fashion_part import FashionPart
from training.data.folder import Folder
from training.data.mnist import Mnist
from training.data.multilabel import Multilabel
from training.data.sprites import Sprites

Data = Cifar10 | Digits | Fashion | FashionPart | Folder | Mnist | Multilabel | Sprites
