# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ECS writes when a rollout fails, the cause it stands for, and what to do. A table.

Texts are those of https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html with the
pages below it, and of https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A pattern of what ECS writes, the cause it stands for, and the remedy.

    The remedy may name ``{role}``, ``{permission}``, ``{secret}``, ``{images}``, ``{checks}``, ``{logs}`` and
    ``{balancers}``; what the evidence does not name is said in general words.
    """

    cause: str
    pattern: re.Pattern[str]
    remedy: str


def _text(cause: str, pattern: str, remedy: str) -> Text:
    return Text(cause, re.compile(pattern, re.IGNORECASE | re.DOTALL), remedy)


_NO_NETWORK = (
    r"(?:context deadline|request ?canceled|request canceled|i/o timeout|dial tcp|connection issue|send request failed"
    r"|connection refused|no such host|TLS handshake timeout|Client\.Timeout)"
)
_A_STORE = r"(?:from asm|from ssm|secrets? ?manager|parameter store|ssm parameters|secretsmanager)"
_A_PULL = r"(?:CannotPull|ref pull|image manifest|pull access)"

_ALLOW_SECRET = (
    "Allow {permission} on {secret} to {role} (and kms:Decrypt, where it has a key of its own), and check that it "
    "exists and that the task's subnets reach its endpoint."
)

# What keeps a task from a secret.
_SECRETS = (
    _text(
        "secret_access",
        r"did not contain json key|invalid character .* looking for beginning of value",
        "Put that key into the JSON of {secret}, or name another key in valueFrom of the task definition.",
    ),
    _text(
        "secret_access",
        r"kms:Decrypt|Access to KMS|KMSAccessDenied|KMS key|\bKMS\.",
        "Allow kms:Decrypt on the KMS key of {secret} to {role}, in the key's policy too, and check that the key is "
        "enabled.",
    ),
    _text(
        "secret_access",
        rf"invalid ssm parameters|ParameterNotFound|{_A_STORE}.*(?:ResourceNotFound|can't find|marked for deletion)",
        "Make {secret}, or correct valueFrom in the task definition: the full ARN with its last six characters, in the "
        "Region and account where the secret is.",
    ),
    _text(
        "secret_access",
        rf"{_A_STORE}.*{_NO_NETWORK}",
        "Give the task's subnets a way to the endpoint of {secret}: a NAT gateway, a public IP, or a VPC endpoint "
        "whose security group lets the task in. If it has one, allow {permission} on it to {role}.",
    ),
    _text(
        "secret_access",
        r"unable to retrieve secrets? from|failed to fetch secret|secretsmanager:GetSecretValue|ssm:GetParameters"
        r"|registry auth from asm",
        _ALLOW_SECRET,
    ),
)

# What keeps a task from its image.
_IMAGES = (
    _text(
        "image_pull",
        r"descriptor matching platform|no matching manifest for|image operating system",
        "Build {images} for the task's platform, or set runtimePlatform.cpuArchitecture of the task definition to the "
        "image's.",
    ),
    _text(
        "image_pull",
        r"toomanyrequests|pull rate limit|429 Too Many",
        "The registry limits pulls: log in to it (repositoryCredentials), or keep {images} in Amazon ECR.",
    ),
    _text(
        "image_pull",
        rf"{_A_PULL}.*no space left on device",
        "Give the task's disk more room for {images}: ephemeralStorage on Fargate, the instance's volume on EC2.",
    ),
    _text(
        "image_pull",
        r"ecr registry auth|registry auth from (?:Amazon )?ECR|ecr:[A-Z]\w+|\bapi\.ecr\b",
        "Allow ecr:GetAuthorizationToken, ecr:BatchGetImage and ecr:GetDownloadUrlForLayer to {role}, and give the "
        "task's subnets a way to Amazon ECR: a NAT gateway, a public IP, or VPC endpoints for ecr.api, ecr.dkr and S3.",
    ),
    _text(
        "image_pull",
        rf"{_A_PULL}.*{_NO_NETWORK}",
        "Give the task's subnets a way to the registry of {images}: a NAT gateway, a public IP, or VPC endpoints.",
    ),
    _text(
        "image_pull",
        rf"{_A_PULL}|ImageNotFound|failed to resolve ref|unable to pull image",
        "Check that {images} exists with that tag, that {role} may pull it, and that the task's subnets reach the "
        "registry.",
    ),
)

# Other things that are made ready before a container starts. No cause of the contract is theirs.
_PREPARATION = (
    _text(
        "other",
        r"failed to download env files?|environment variable files?",
        "Allow s3:GetObject on the environmentFiles and s3:GetBucketLocation on their bucket to {role}, check that "
        "they exist, and that the task's subnets reach S3.",
    ),
    _text(
        "other",
        r"log(?:ger|ging) (?:args|driver)|log group|log stream|awslogs|logs:Create|logs:PutLog",
        "Make the log group of {logs} (or set awslogs-create-group), allow logs:CreateLogStream and logs:PutLogEvents "
        "to {role}, and check awslogs-region and that the task's subnets reach CloudWatch Logs.",
    ),
    _text(
        "other",
        r"\bEFS\b|mount\.nfs|mount target|CannotCreateVolume|VolumeDriver|\bEBS\b",
        "Check the task's volumes: that the file system and a mount target in the task's zone exist, that its security "
        "group lets NFS (2049) in, and that the task role may mount it.",
    ),
    _text(
        "other",
        r"assume (?:the )?(?:\w+ )?role|sts:AssumeRole",
        "Let ecs-tasks.amazonaws.com assume {role}: check that the role exists, and its trust policy. The caller of "
        "UpdateService needs iam:PassRole on it.",
    ),
    _text(
        "other",
        r"requires task definition to have execution role",
        "Set executionRoleArn in the task definition: pulling from ECR, secrets and awslogs on Fargate need one.",
    ),
)

_PLACES = (
    _text(
        "no_capacity",
        r"free addresses|InsufficientFreeAddresses",
        "The service's subnets have no free IP address: add subnets to its networkConfiguration, or free addresses.",
    ),
    _text(
        "no_capacity",
        r"reached the limit on the number|above your limit|vCPU limit|quota|LimitExceeded",
        "A quota of the account is used up: ask for a higher one in Service Quotas, or stop other tasks.",
    ),
    _text(
        "no_capacity",
        r"using a port required|RESOURCE:PORTS",
        "The host port is taken on every container instance: add an instance, use dynamic ports (hostPort 0) or "
        "awsvpc, or lower minimumHealthyPercent so that an old task stops first.",
    ),
    _text(
        "no_capacity",
        r"error \W?AGENT|(?-i:\bAGENT\b)",
        "The ECS agent of the container instances is not connected: check the agent, the instance's role and its way "
        "to ECS's endpoints.",
    ),
    _text(
        "no_capacity",
        r"missing an attribute|placement constraint|(?-i:\bATTRIBUTE\b)|(?-i:\bLOCATION\b)",
        "No container instance has what the task demands: check placementConstraints, CPU architecture, network mode "
        "and the instances' attributes.",
    ),
    _text(
        "no_capacity",
        r"RESOURCE:(?:ENI|GPU|FPGA)",
        "Every container instance has used up what the task needs (network interfaces or GPUs): add instances, or turn "
        "awsvpcTrunking on for network interfaces.",
    ),
    _text(
        "no_capacity",
        r"Spot(?: ?Interruption)?\b.*(?:interrupt|capacity)|SpotInterruption",
        "AWS took the Spot capacity back: give the capacity provider strategy a base on FARGATE or on-demand "
        "instances, then wait again: ECS starts another task.",
    ),
    _text(
        "no_capacity",
        r"Capacity is unavailable|InsufficientCapacity|InsufficientInstanceCapacity",
        "AWS has no capacity there now: wait again later, or add subnets in other Availability Zones.",
    ),
    _text(
        "no_capacity",
        r"EMPTY CAPACITY PROVIDER|no container instances? (?:were|was) found|no active container instances?",
        "The cluster or its capacity provider has no container instance: add one, or check the Auto Scaling group "
        "behind the capacity provider.",
    ),
)

_HEALTH = (
    _text(
        "load_balancer_health",
        r"failed (?:ELB|load balancer|target group|VPC Lattice) health checks"
        r"|is unhealthy in \W*(?:target-?group|load ?balancer|elb|VPC Lattice)"
        r"|health checks failed with|UnhealthyThreshold|failed to register targets",
        "Call the health check path of {balancers} on a task; check its port, path and expected codes, the security "
        "groups, and healthCheckGracePeriodSeconds.",
    ),
    _text(
        "health_check",
        r"failed (?:container|service connect)? ?health checks?",
        "Run the health check in the image: {checks}. Check its interval, timeout, retries and startPeriod.",
    ),
)

_CONTAINERS = (
    _text(
        "out_of_memory",
        r"OutOfMemory|out of memory|\boom\b|OOM-?Killed|memory usage",
        "Give the container more memory in the task definition, or find what uses it at start.",
    ),
    _text(
        "container_exit",
        r"exec format error",
        "The image is built for another CPU architecture: build it for the task's, or set "
        "runtimePlatform.cpuArchitecture.",
    ),
    _text(
        "container_exit",
        r"executable file not found|exec: .*(?:no such file|permission denied)|exited with 12[67]\b",
        "The container's entryPoint or command cannot be run in {images}: check path and permissions.",
    ),
    _text(
        "container_exit",
        r"exited with 137\b",
        "The container was killed (137, SIGKILL), mostly for memory or since it did not end within stopTimeout: look "
        "at its log and at its memory limit.",
    ),
    _text(
        "container_exit",
        r"exited with 139\b",
        "The container crashed (139, a segmentation fault): read its log; native code for another platform does that.",
    ),
    _text(
        "container_exit",
        r"exited with 143\b",
        "The container was told to end (143, SIGTERM): look at what stopped it, and read its log.",
    ),
)

_ELSE = (
    _text(
        "other",
        r"configure ENI|network interface",
        "The task's network interface was not made: check the subnets, the security groups and AWSServiceRoleForECS; "
        "then run again.",
    ),
    _text(
        "other",
        r"Host EC2|InfrastructureHealth|TerminationNotice|instance .{0,80}(?:terminated|retire)",
        "The host was lost, which is not the rollout's fault: ECS starts another task; wait again.",
    ),
    _text(
        "other",
        r"TimeoutError|Could not transition to|CannotInspect|CannotStopContainer|ContainerRuntimeError|InternalError"
        r"|Internal error|Unexpected EC2 error",
        "The container runtime or ECS itself failed: run again; if it recurs on one container instance, drain that.",
    ),
)

# Too general to stand before any other.
_GENERAL = (
    _text(
        "circuit_breaker",
        r"deployment failed: tasks failed to start",
        "ECS gave up after too many failed tasks: mend what made them fail and run again. Its stopped tasks "
        "(ecs:DescribeTasks) tell what that is.",
    ),
    _text(
        "other",
        r"unable to consistently start tasks",
        "Tasks fail again and again, so ECS waits ever longer between them: look at the stopped tasks "
        "(ecs:DescribeTasks) and at the containers' logs.",
    ),
    _text(
        "other",
        r"operations are being throttled",
        "ECS is throttled in this account and tries again by itself: wait again, with fewer deployments at once.",
    ),
    _text(
        "secret_access",
        r"unable to pull secrets?|registry auth",
        _ALLOW_SECRET,
    ),
    _text(
        "percent_deadlock",
        r"unable to stop or start tasks during a deployment",
        "Raise maximumPercent or lower minimumHealthyPercent of the service, so that ECS may start a new task or stop "
        "an old one.",
    ),
    _text(
        "task_protection",
        r"protected tasks|task protection",
        "Let their protection end (48 hours at most), or end it with ecs:UpdateTaskProtection; then wait again.",
    ),
    _text(
        "no_capacity",
        r"unable to place a task|RESOURCE:|insufficient (?:CPU|memory)",
        "Add container instances, ask for less CPU and memory, or lower minimumHealthyPercent so that an old task may "
        "stop before a new one starts.",
    ),
    _text(
        "container_exit",
        r"essential container in task exited|exited with|CannotStartContainer"
        r"|CannotCreateContainer|Task failed to start",
        "The container ends by itself: read its log, and check whether the application refuses the new value.",
    ),
)

# The first that matches counts: what names a thing exactly stands before what is general.
TEXTS = (*_SECRETS, *_PREPARATION, *_IMAGES, *_PLACES, *_HEALTH, *_CONTAINERS, *_ELSE, *_GENERAL)

ALARM = _text(
    "alarm",
    r"\balarms?\b",
    "Look at what {alarms} measures since the deployment began; ECS ended the deployment for it.",
)

# Events that tell of trouble; others, such as "has started 2 tasks", match nothing of the table.
TROUBLE = re.compile(r"\bunable to\b|\bunhealthy\b|\bfailed\b|\berror\b|unavailable|protected|throttled", re.IGNORECASE)


# A name tells nothing of what happened to it: a secret may be called "efs".
_NAMES = re.compile(r"arn:[\w-]+:[^\s,;'\")]+")


def text_for(said: str) -> Text | None:
    """The row for what ECS wrote; None when the table does not know it."""
    words = _NAMES.sub("arn", said)
    return next((text for text in TEXTS if text.pattern.search(words)), None)
