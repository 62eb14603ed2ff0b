"""The `gcp` provider of Scalable."""
