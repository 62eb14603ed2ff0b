"""The provider `acme` of Scalable."""
