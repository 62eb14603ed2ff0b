"""What holds for all tests."""

import os

# The width of somebody's terminal would fold the sentences that tests look for.
os.environ.pop("COLUMNS", None)
