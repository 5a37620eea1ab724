"""Is the kind served there?"""
