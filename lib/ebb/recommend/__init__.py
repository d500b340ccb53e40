"""Slates: blended scoring, top-N, reasons, the hot list."""
