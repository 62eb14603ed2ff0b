"""Never imported."""

raise AssertionError("imported")
