"""The model test: drivers live through random operations together with the memory driver."""

from asynctasq.drivers.memory import MemoryDriver
from asynctasq.testing.model import model_test_case

TestMemoryModel = model_test_case(MemoryDriver)
