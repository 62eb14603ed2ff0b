"""The `local` provider of Scalable."""
