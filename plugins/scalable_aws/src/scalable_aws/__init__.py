"""The `aws` provider of Scalable."""
