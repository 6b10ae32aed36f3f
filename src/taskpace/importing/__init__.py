"""Logs of other tools, made into run files: what they recorded, what they did not, and where it comes from.

``logs`` defines what a log is once it has been read, ``formats`` which tools are known and how files are recognised,
a module for each tool reads them, ``grading`` puts a task of ours in place of the log's own scores, and ``writing``
makes a run file. What a log does not say stays unknown.
"""
