"""The one place that holds the version, and the name that requests carry."""

__version__ = "0.1.0"

# Some gateways and proxies refuse a request without one.
USER_AGENT = f"sessionlib/{__version__}"
