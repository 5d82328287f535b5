"""The numbers of the queues that components make and functions work by."""

from typing import Final

# How often SQS hands a message out before it moves it to the dead letters: as often as the policy pack lets a queue. Lambda
# receives a message again and again while it throttles a function, so this says nothing of how often a function has tried.
MOST_RECEIVES: Final = 20
# The most tries of a job that a component can be told. A worker that dies has received its message once more, and whether the
# tries are used up is found at the receive after the last one. The rest is for what no worker counts.
MOST_JOB_TRIES: Final = MOST_RECEIVES - 5
