"""The loop that every trained stage shares, and what CVAE and judge learn."""
