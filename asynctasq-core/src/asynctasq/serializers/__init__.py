"""Values, calls and results to bytes and back."""
