"""Rules, alerts and dashboard, alone and with a real Prometheus."""
