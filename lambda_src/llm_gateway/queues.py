"""The numbers of the queues that components make and functions work by."""

from typing import Final

# How often SQS hands a message out before it moves it to the dead letters: as often as the policy pack lets a queue. Lambda
# receives a message again and again while it throttles a function, so this says nothing of how often a function has tried.
MOST_RECEIVES: Final = 20
# The most tries of a job that a component can be told. A worker that dies has received its message once more, and whether the
# tries are used up is found at the receive after the last one. The rest is for what no worker counts.
MOST_JOB_TRIES: Final = MOST_RECEIVES - 5

_HOUR = 3600
# The queues of webhooks. An event is tried for so long, whoever does not take it: its receiver, which the pauses between tries
# see to, or Lambda, which has no execution for the function, and receives the message again when that is no longer hidden.
WEBHOOK_TRIED_SECONDS: Final = 48 * _HOUR
WEBHOOK_HIDDEN_SECONDS: Final = WEBHOOK_TRIED_SECONDS // MOST_RECEIVES
# The pause before the next try is so many times the age of the message, but neither shorter nor longer than these; and what a
# receiver wants, up to the last one. So it does not matter how often Lambda received the message in vain.
WEBHOOK_PAUSE_BY_AGE: Final = 3
WEBHOOK_SHORTEST_PAUSE: Final = 5
WEBHOOK_LONGEST_PAUSE: Final = 7 * _HOUR // 2
WEBHOOK_LONGEST_WANTED_PAUSE: Final = 6 * _HOUR
WEBHOOK_KEPT_SECONDS: Final = 7 * 24 * _HOUR
# The function has so long for a batch of messages, and for each of them, with the secret, the connection and the answer.
WEBHOOK_FUNCTION_SECONDS: Final = 30
WEBHOOK_MESSAGE_SECONDS: Final = 22
