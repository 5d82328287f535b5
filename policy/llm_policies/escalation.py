"""The known ways to turn some permissions in an account into all permissions."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Escalation:
    """A way to more permissions: the first action on any resource, all the other actions, and what they lead to.

    `service` is whom a passed role goes to: a condition on iam:PassedToService that names another one closes the way.
    """

    actions: tuple[str, ...]
    leads: str
    service: str = ""

    @property
    def name(self) -> str:
        return " with ".join((self.actions[0], " and ".join(self.actions[1:]))) if self.actions[1:] else self.actions[0]


_ALONE: Final = {
    "rewrites any policy": ("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion"),
    "gives any identity any policy": (
        "iam:AttachGroupPolicy",
        "iam:AttachRolePolicy",
        "iam:AttachUserPolicy",
        "iam:PutGroupPolicy",
        "iam:PutRolePolicy",
        "iam:PutUserPolicy",
        "iam:AddUserToGroup",
    ),
    "opens any role to its holder": ("iam:UpdateAssumeRolePolicy", "sts:AssumeRole"),
    "makes credentials of any user": ("iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile"),
    "takes the limits off any identity": (
        "iam:DeleteRolePermissionsBoundary",
        "iam:DeleteUserPermissionsBoundary",
        "iam:PutRolePermissionsBoundary",
        "iam:PutUserPermissionsBoundary",
    ),
    "runs code with any function's role": ("lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
    "runs commands with any instance's role": ("ec2-instance-connect:SendSSHPublicKey", "ssm:SendCommand", "ssm:StartSession"),
    "runs commands with any task's role": ("ecs:ExecuteCommand",),
    "runs code with any project's role": ("codebuild:UpdateProject",),
    "changes any stack with its service role": ("cloudformation:UpdateStack",),
    "makes its holder any cluster's administrator": ("eks:AssociateAccessPolicy",),
    "opens any notebook with its role": ("sagemaker:CreatePresignedNotebookInstanceUrl",),
}

_PASSED: Final = {
    "lambda.amazonaws.com": (
        ("lambda:CreateFunction", "lambda:InvokeFunction"),
        ("lambda:CreateFunction", "lambda:AddPermission"),
        ("lambda:CreateFunction", "lambda:CreateEventSourceMapping"),
    ),
    "ec2.amazonaws.com": (("ec2:RunInstances",),),
    "ecs-tasks.amazonaws.com": (
        ("ecs:RegisterTaskDefinition", "ecs:RunTask"),
        ("ecs:RegisterTaskDefinition", "ecs:CreateService"),
    ),
    "glue.amazonaws.com": (("glue:CreateDevEndpoint",), ("glue:CreateJob", "glue:StartJobRun")),
    "cloudformation.amazonaws.com": (("cloudformation:CreateStack",),),
    "codebuild.amazonaws.com": (("codebuild:CreateProject", "codebuild:StartBuild"),),
    "sagemaker.amazonaws.com": (
        ("sagemaker:CreateNotebookInstance", "sagemaker:CreatePresignedNotebookInstanceUrl"),
        ("sagemaker:CreateTrainingJob",),
        ("sagemaker:CreateProcessingJob",),
    ),
    "states.amazonaws.com": (("states:CreateStateMachine", "states:StartExecution"),),
    "scheduler.amazonaws.com": (("scheduler:CreateSchedule",),),
    "bedrock-agentcore.amazonaws.com": (
        ("bedrock-agentcore:CreateAgentRuntime", "bedrock-agentcore:InvokeAgentRuntime"),
        ("bedrock-agentcore:CreateCodeInterpreter", "bedrock-agentcore:InvokeCodeInterpreter"),
    ),
    "pods.eks.amazonaws.com": (("eks:CreatePodIdentityAssociation",),),
}

ESCALATIONS: Final[tuple[Escalation, ...]] = (
    *(Escalation((action,), leads) for leads, actions in _ALONE.items() for action in actions),
    *(
        Escalation(("iam:PassRole", *actions), f"runs what {service} runs with any role", service)
        for service, ways in _PASSED.items()
        for actions in ways
    ),
)
"""All ways. The first action counts only if it is allowed on every resource, and no condition limits the resources."""
