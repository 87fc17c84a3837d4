"""Get this machine ready: `python3 tools/bootstrap.py [what ...]`, `all`, or `clean`.

With nothing named it does what `make up` needs. A step that is up to date costs a millisecond; an interrupted one is
taken up again by the next run.
"""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036  this file alone must be readable to an old Python, to say so
    sys.exit(
        "Isthmus needs Python 3.11 or newer and this is {}.{}: install one and run it with that, for example "
        "`python3.12 tools/bootstrap.py`".format(*sys.version_info)
    )
# In place of the folder of this file: its modules are `tools.steps` and so on, and none may hide a standard one.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tools.steps import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
