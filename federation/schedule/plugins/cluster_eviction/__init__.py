"""Is the workload being moved away from it?"""
