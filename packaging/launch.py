"""What the frozen program runs."""

import sys

from edge.__main__ import main

sys.exit(main())
