"""Tests of what the measurements compute; that they run at all is seen by running them."""
