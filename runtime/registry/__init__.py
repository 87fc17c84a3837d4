"""What training and serving share about a model: how it is packaged, and how its architecture is found again.

Facade for the other contexts: `runtime.registry.manifest` (model.json), `runtime.registry.package` (files to module and
back) and `runtime.registry.code` (finding architectures and user files).
"""
