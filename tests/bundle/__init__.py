"""Tests of the contract between the offline and the online half."""
