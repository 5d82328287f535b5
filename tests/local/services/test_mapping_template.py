"""Mapping templates, as API Gateway's documentation describes them."""

import pytest

from pulumi_llm_local.services.api_gateway.mapping_template import TemplateError, overridden_headers

SET = "#set($context.responseOverride.header.X = $x)"


@pytest.mark.parametrize(
    ("template", "headers"),
    [
        ("", {}),
        (f'#set($x = "a"){SET}', {"X": "a"}),
        (f'#set($x = $input.params("Origin")) #if($x == "given"){SET}#end', {"X": "given"}),
        (f'#set($x = $input.params("origin")) #if($x == ""){SET}#end', {"X": ""}),
        (f'#set($x = "a") #if($x == "b" || $x == "c"){SET}#end', {}),
        (f'#set($x = "a") #if($x == "b")#if($x == "a"){SET}#end#end', {}),
        (f'#set($x = "a") #if($x == "b" || $x == "a")\n{SET}\n#end', {"X": "a"}),
    ],
)
def test_what_is_evaluated(template: str, headers: dict[str, str]) -> None:
    assert overridden_headers(template, lambda name: {"Origin": "given"}.get(name, "")) == headers


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (f'#set($x = "a"){SET}{SET}', "X is overridden twice"),
        ("#foreach($x in $y)#end", "is not played"),
        ('#set($x = $input.json("$"))', "is not played"),
        (SET, "is not played"),
        ('{"body": 1}', "is not played"),
    ],
)
def test_what_is_refused(template: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        overridden_headers(template, lambda name: "")
