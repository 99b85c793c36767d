"""Tests of the client, against a server made for the purpose on the other side of a real wire."""
