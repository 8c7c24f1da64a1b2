# Pool sizing for different workloads
import os

# CPU-only workload: match core count
process_pool_size = os.cpu_count()

# Mixed CPU+I/O: add extra workers
process_pool_size = os.cpu_count() + 1

# Shared machine: reduce to avoid contention
process_pool_size = os.cpu_count() // 2

# Process recycling (Python 3.11+)
process_pool_max_tasks_per_child = 100  # Lower = more overhead, better memory
process_pool_max_tasks_per_child = 1000  # Higher = better performance, potential leaks
