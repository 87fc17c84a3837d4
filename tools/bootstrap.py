"""Get this machine ready: `python3 tools/bootstrap.py [what ...]`, `all`, or `clean`.

With nothing named it does what `make up` needs. A step that is up to date costs a millisecond; an interrupted one is
taken up again by the next run.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Isthmus needs Python 3.11 or newer and this is %d.%d: install one and run it with that, for example "
        "`python3.12 tools/bootstrap.py`" % sys.version_info[:2]
    )
sys.path[0:1] = [__file__.rsplit("/", 2)[0] if __file__.count("/") > 1 else "."]

from tools.steps import main  # noqa: E402  the line above makes it importable

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
