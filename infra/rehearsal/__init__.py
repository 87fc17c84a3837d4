"""The clouds' control planes, rehearsed: what the real engine talks to where there is no account.

Everything here says that it is a rehearsal, in its ids, its outputs and its messages. What a real provider would refuse is
refused; what the runtime will touch is made real on servers of this machine.
"""
