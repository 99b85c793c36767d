"""Measurements of our server beside other model servers, on the same graph with the same requests."""
