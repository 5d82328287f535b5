"""The keys of the tables that components make and functions use.

They stand here because a program that imports the components has no AWS client of the functions.
"""

from typing import Final, NamedTuple


class TableKeys(NamedTuple):
    """The attributes by which a table's items are found, and the one by which DynamoDB's TTL deletes them."""

    hash_key: str
    sort_key: str
    ttl_attribute: str


CONNECTIONS: Final = TableKeys("id", "", "expires")
JOURNAL: Final = TableKeys("generation", "seq", "expires")
TICKETS: Final = TableKeys("ticket_hash", "", "expires")
LEDGER: Final = TableKeys("holder", "", "expires")
