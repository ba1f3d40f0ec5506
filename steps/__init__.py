"""Thin ZenML steps: get the ports, call one domain function, log, return."""

import materializers  # noqa: F401 - tells ZenML how to store and show what the steps return
