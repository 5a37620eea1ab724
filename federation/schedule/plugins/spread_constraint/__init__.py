"""Does it have the field that the spread groups by?"""
