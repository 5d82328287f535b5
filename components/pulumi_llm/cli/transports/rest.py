"""`POST /chat`: the whole answer in one response."""

import msgspec

from llm_gateway.http.client import HttpError
from llm_gateway.operations import PATHS
from pulumi_llm.cli.transports.http import NOT_THE_SERVICE, HttpTransport
from pulumi_llm.cli.transports.transport import Answer, Data, Display, Reading, encoded

# The longest that a function of Lambda runs. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ANSWER_SECONDS = 900.0


class RestTransport(HttpTransport):
    """Asks for an answer in one piece."""

    async def ask(self, body: dict[str, object], display: Display) -> Answer:
        content = encoded(body)
        reading = Reading(display)
        try:
            async with await self._send("POST", PATHS["chat"], content, ANSWER_SECONDS) as response:
                reading.answer.request_id = response.headers.get("x-request-id", "")
                text = await response.read()
        except HttpError as error:
            raise self._broken(error) from error
        try:
            data = msgspec.json.decode(text, type=Data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            data = Data()
        if not data.stop_reason:
            raise self._error("not_an_answer", f"{self.base} answered with something else; {NOT_THE_SERVICE}")
        reading.take("start", data)
        if data.reasoning:
            reading.take("reasoning", Data(text=data.reasoning))
        if data.message:
            reading.take("delta", Data(text=data.message))
        reading.take("usage", data)
        reading.take("done", data)
        return reading.answer
