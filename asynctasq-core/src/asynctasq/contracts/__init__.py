"""What plugins implement: driver, serializer, executor and resolver protocols."""
