"""What can be wrong with the files of this contract and with the pictures that go through it."""


class BundleError(Exception):
    """A run folder or model bundle is incomplete, damaged or not of this format; the message names file and reason."""


class PictureError(ValueError):
    """A picture cannot be turned into pixels; the message says why, for the person who sent it."""


class HeavyPictureError(Exception):
    """A picture is more work than whoever was asked may do at once; nothing is wrong with it."""
