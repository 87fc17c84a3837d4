"""The bundled runtime: trains models with torch and serves them, unchanged on every cloud.

A folder is one bounded context. A context imports `runtime.domain` (pure types), `runtime.models` (the bundled
architectures), the adapters' facade, ports, errors and settings, and otherwise only the modules that another context's
`__init__` names as its facade.
"""
