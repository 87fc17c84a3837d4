"""Write the lock files anew from pyproject.toml: `python3 tools/lock.py [--upgrade] [NAME ...]`.

Without `--upgrade` a version that is locked stays locked, so running it twice changes nothing.
"""
