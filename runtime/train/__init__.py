"""Trains a recipe and registers the result with its lineage. `fit.py` is the whole training, to be read top to bottom.

Facade for recipes of your own: `runtime.train.recipe` and `runtime.train.splits`.
"""
