"""The driver conformance suite: what every store must do, as runnable checks."""
