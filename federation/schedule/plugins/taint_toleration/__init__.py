"""Are its taints tolerated?"""
