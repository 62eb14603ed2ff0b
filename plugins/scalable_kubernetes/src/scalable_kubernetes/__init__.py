"""The `kubernetes` provider of Scalable."""
