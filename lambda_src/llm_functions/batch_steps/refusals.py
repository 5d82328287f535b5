"""The lines of a batch's file that its endpoint refuses however often it is asked: a field is wrong, or the caller may not use
the model.

They are found while the file is checked, in the same pass, and never become a chunk's: they cost no execution and no object of
their own.
"""

import secrets

from llm_functions.api_formats.batch_lines import Line, parse, refused
from llm_gateway.aws.s3 import Bucket
from llm_gateway.batches.batch import Batch
from llm_gateway.errors import GatewayError
from llm_gateway.gateway import Gateway
from llm_gateway.pipeline import refuse
from llm_gateway.telemetry import record_refusal

# As many bytes of error lines are written at once.
_OBJECT_BYTES = 1024 * 1024


class Refusals:
    """Finds such lines, records each as the API does, and writes them as they will stand in the error file.

    `count` is how many there are, and `objects` how many objects hold them once they are `written`.
    """

    def __init__(self, gateway: Gateway, bucket: Bucket, batch: Batch, *, debug: bool) -> None:
        self._gateway = gateway.current()
        self._bucket = bucket
        self._batch = batch
        self._debug = debug
        self._lines = bytearray()
        self.count = self.objects = 0

    async def takes(self, number: int, line: Line) -> bool:
        """Whether the line of that number is refused."""
        request_id = f"{self._batch.id}-{number}-{secrets.token_hex(4)}"
        if (error := self._error(line, request_id)) is None:
            return False
        self._lines += refused(self._batch, number, line.custom_id, request_id, error, debug=self._debug) + b"\n"
        self.count += 1
        if len(self._lines) >= _OBJECT_BYTES:
            await self.written()
        return True

    async def written(self) -> None:
        """Write what is left."""
        if self._lines:
            await self._bucket.put(self._batch.refused_key(self.objects), bytes(self._lines))
            self.objects += 1
            self._lines.clear()

    def _error(self, line: Line, request_id: str) -> GatewayError | None:
        """Return the error with which a line is refused, once it is recorded; None if it is not."""
        endpoint = self._batch.endpoint
        try:
            request, _ = parse(endpoint, line.body)
            if self._gateway.policy is not None:
                self._gateway.policy.check_job(self._batch.caller)
            return refuse(self._gateway, request, self._batch.caller, request_id)
        except GatewayError as error:
            record_refusal(request_id, "POST", endpoint, error)
            return error
        except Exception:
            return None  # whoever answers the line tells it
