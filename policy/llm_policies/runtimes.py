"""The Lambda runtimes that are deprecated as of November 2026, each with its deprecation date; and the versions of Kubernetes.

From AWS's table of runtimes. Those of which AWS has moved the date, and whose new one is not sure, are left out: python3.11,
java8.al2, java11 and java17 run on Amazon Linux 2 and were first announced for 2026-06-30.
"""

from typing import Final

DEPRECATED: Final = {
    "dotnet5.0": "2022-05-10",
    "dotnet6": "2024-12-20",
    "dotnet7": "2024-05-14",
    "dotnet8": "2026-11-10",
    "dotnetcore1.0": "2019-06-27",
    "dotnetcore2.0": "2019-05-30",
    "dotnetcore2.1": "2022-01-05",
    "dotnetcore3.1": "2023-04-03",
    "go1.x": "2024-01-08",
    "java8": "2024-01-08",
    "nodejs": "2016-10-31",
    "nodejs10.x": "2021-07-30",
    "nodejs12.x": "2023-03-31",
    "nodejs14.x": "2023-12-04",
    "nodejs16.x": "2024-06-12",
    "nodejs18.x": "2025-09-01",
    "nodejs20.x": "2026-04-30",
    "nodejs4.3": "2020-03-05",
    "nodejs4.3-edge": "2020-03-05",
    "nodejs6.10": "2019-08-12",
    "nodejs8.10": "2020-03-06",
    "provided": "2024-01-08",
    "python2.7": "2021-07-15",
    "python3.10": "2026-10-31",
    "python3.6": "2022-07-18",
    "python3.7": "2023-12-04",
    "python3.8": "2024-10-14",
    "python3.9": "2025-12-15",
    "ruby2.5": "2021-07-30",
    "ruby2.7": "2023-12-07",
    "ruby3.2": "2026-03-31",
}

# Versions of Kubernetes on EKS whose standard support has ended as of November 2026: when it ended, and when extended support
# ends. Older ones are not supported. https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html
KUBERNETES: Final = {
    "1.28": ("2024-11-26", "2025-11-26"),
    "1.29": ("2025-03-23", "2026-03-23"),
    "1.30": ("2025-07-23", "2026-07-23"),
    "1.31": ("2025-11-26", "2026-11-26"),
    "1.32": ("2026-03-23", "2027-03-23"),
    "1.33": ("2026-07-29", "2027-07-29"),
}
