"""Bundled architectures: torch modules and nothing else. Training builds them, serving rebuilds them by name.

A module takes raw features and normalises them itself, so that training and serving cannot differ in it. `forward` gives
what the loss needs; `predict` gives the outputs that the model's signature lists, in that order.
"""
