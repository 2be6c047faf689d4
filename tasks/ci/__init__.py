"""What a change of specs would do, tried beside the platform: nothing of it is touched, and nothing is left behind.

Belongs here: which specs changed, how they differ, the trial on a sample, the report. Does not belong here: the
command.
"""
