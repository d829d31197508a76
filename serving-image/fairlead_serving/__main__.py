"""Run the server with `python3 -m fairlead_serving`."""

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
