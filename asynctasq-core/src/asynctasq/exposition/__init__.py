"""Metrics in the text format of Prometheus, rendered by the optional library prometheus-client."""

from asynctasq.exposition.families import Family, Histogram, Kind
from asynctasq.exposition.rendering import MISSING, Page, is_installed, metrics_page

__all__ = ["MISSING", "Family", "Histogram", "Kind", "Page", "is_installed", "metrics_page"]
