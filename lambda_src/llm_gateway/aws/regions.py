"""The domains of AWS's endpoints. https://github.com/boto/botocore/blob/develop/botocore/data/partitions.json"""

_COMMON = "amazonaws.com"
# The beginning of a Region's name -> its partition's domain, where that is another one.
_DOMAINS = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
}


def dns_suffix(region: str) -> str:
    """Return what the names of a Region's endpoints end with, such as amazonaws.com."""
    return next((domain for start, domain in _DOMAINS.items() if region.startswith(start)), _COMMON)
