"""Thin ZenML steps: get the ports, call one domain function, log, return."""
