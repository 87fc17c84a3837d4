"""Serves registered models over HTTP: the Open Inference Protocol v2 and `/v1/predict`. No other context imports it.

A request passes `http` (limits, problems) -> `routes` -> `oip` or `predict` (bytes to arrays) -> `model` (arrays to arrays).
"""
