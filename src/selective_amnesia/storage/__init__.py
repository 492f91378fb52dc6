"""Where finished work is kept: files that are whole or absent, stages by name, a mirror."""
