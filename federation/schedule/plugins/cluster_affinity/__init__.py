"""Does the placement name it?"""
