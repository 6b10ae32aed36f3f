"""Judging: any system grades the answers of a run, in a run of its own.

``settings`` reads who judges and how, ``answers`` what to grade, ``questions`` puts it to the judge, ``plan``
makes a plan of it, which ``taskpace.runner.runner`` carries out like any other. What comes of it is for
``taskpace.analysis.judge.agreement``.
"""
