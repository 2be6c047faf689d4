"""The state machine of a rollout: phases and their allowed moves as a table, one frozen state, one pure `decide`.

Belongs here: what is true of a rollout, and what comes next. Does not belong here: any side effect, client or clock.
"""
