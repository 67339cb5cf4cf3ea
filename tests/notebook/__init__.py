"""Tests in real Jupyter kernels."""
