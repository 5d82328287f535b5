"""Settings that may be another resource's output: a plain value is checked at once, an Output when it resolves."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, cast, get_args

import pulumi
from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from pulumi_llm.base.problems import Place, Problem, path_of, place_of, reason_of

_T = TypeVar("_T")


class WrongOutput(Exception):
    """What an Output resolved to is wrong, with each place within it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


@dataclass(eq=False)
class Late:
    """An Output that was given for a setting, checked when it resolves.

    `place` and what follows are known only after all settings were read: where the Output stands, the setting's default, a
    check of the whole value, the component's class, and every Output that the component was given.
    """

    given: pulumi.Output[Any]
    check: Callable[[Any], Any]
    place: Place = ()
    default: Any = None
    more: Callable[[Any], str | None] = lambda value: None
    component: str = ""
    all: Sequence["Late"] = ()
    checked: pulumi.Output[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.checked = self.given.apply(self._resolve)

    def _resolve(self, resolved: Any) -> Any:
        try:
            return self._value(resolved)
        except WrongOutput as wrong:
            # Without a component: it was refused already, for what is wrong at once.
            return _report(self, wrong.problems) if self.component else resolved

    def _value(self, resolved: Any) -> Any:
        if resolved is None:
            if self.default is None:
                reason = "the Output resolved to None; leave it out, or give a value"
                raise WrongOutput([Problem(path_of(self.place), reason)])
            return self.default
        try:
            value = self.check(resolved)
        except ValidationError as error:
            raise WrongOutput([self._problem(resolved, details) for details in error.errors()]) from None
        reason = self.more(value)
        if reason is not None:
            raise WrongOutput([Problem(path_of(self.place), reason)])
        return value

    def _problem(self, resolved: Any, details: Any) -> Problem:
        # Without the value, which may be a secret: it stands first or last.
        reason = reason_of(BaseModel, details)
        reason = reason.rpartition(", not ")[0] or reason
        if reason.startswith(repr(details["input"])):
            reason = f"what the Output resolved to{reason.removeprefix(repr(details['input']))}"
        return Problem(path_of((*self.place, *place_of(details))), reason)

    async def problems(self) -> Sequence[Problem]:
        """What is wrong with what the Output resolves to; nothing where that is not known yet."""
        if not await self.given.is_known():
            return ()
        try:
            self._value(await self.given.future())
        except WrongOutput as wrong:
            return wrong.problems
        return ()


async def _report(late: Late, problems: Sequence[Problem]) -> Any:
    """Raise what is wrong with all Outputs that the component was given, for the program ends at the first error."""
    found = [problem for other in late.all for problem in await other.problems()] if late.all else problems
    raise properties_error(late.component, found)


def properties_error(component: str, problems: Sequence[Problem]) -> pulumi.InputPropertiesError:
    """The error that lists every argument that is wrong."""
    lines = "".join(f"\n  {problem.path}: {problem.reason}" for problem in problems)
    details = [pulumi.InputPropertyErrorDetails(property_path=p.path, reason=p.reason) for p in problems]
    return pulumi.InputPropertiesError(f"{component} has arguments that are wrong:{lines}", details)


class _OutputAllowed:
    """Validates a plain value at once, and an Output when it resolves. The validation's context is the list of the Outputs."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        plain = handler.generate_schema(get_args(source)[0])

        def validate(value: Any, check: core_schema.ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
            if inspect.isawaitable(value):
                value = pulumi.Output.from_input(value)
            if not isinstance(value, pulumi.Output):
                return check(value)
            late = Late(cast("pulumi.Output[Any]", value), check, (info.field_name or "",))
            cast("list[Late]", info.context if info.context is not None else []).append(late)
            return late.checked

        return core_schema.with_info_wrap_validator_function(validate, plain)


# A setting that may be another resource's output.
Input = Annotated[_T | pulumi.Output[_T], _OutputAllowed()]
