"""Does it run the workloads that it should be with, and none that it should be apart from?"""
