"""The process of the local AWS: MiniStack with the mends of `local_differences`.

Run by `local_aws` as a script, never imported.
"""

import os
import sys
from pathlib import Path

import ministack.app

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run with -P, which leaves this folder out

from cli import local_pages
from cli.local_differences import PAGES_PORT, mend_emulator

if __name__ == "__main__":
    mend_emulator()
    if PAGES_PORT in os.environ:  # a test may want the emulator alone
        local_pages.serve(
            int(os.environ[PAGES_PORT]),
            emulator_port=int(os.environ["GATEWAY_PORT"]),
            certificate=os.environ["MINISTACK_SSL_CERT"],
        )
    ministack.app.main()
