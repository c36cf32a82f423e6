"""Intarsia inside GIMP 3: one menu entry per operation, a window of jobs, a window for the engine.

GIMP starts ``intarsia_gimp.py`` as a process of its own for every run. This file imports nothing on
purpose, so that a test can take one module without GIMP.
"""
