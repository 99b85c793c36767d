"""The page in a real Chromium. What HTTP alone can see of it is in tests/contract/http/test_page.py."""
