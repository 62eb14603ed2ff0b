"""Runs Scalable workflows on a Slurm cluster: each worker is a job."""
