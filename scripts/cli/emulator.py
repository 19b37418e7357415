"""The process of the local AWS: MiniStack with the mends of `local_differences`.

Run by `local_aws` as a script, never imported.
"""

import sys
from pathlib import Path

import ministack.app

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run with -P, which leaves this folder out

from cli.local_differences import mend_emulator

if __name__ == "__main__":
    mend_emulator()
    ministack.app.main()
