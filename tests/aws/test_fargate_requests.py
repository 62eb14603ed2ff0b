"""What ECS is asked for, and what its answers mean; without a service."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable_aws import reach, requests, standing
from scalable_aws.options import FargateOptions
from scalable_aws.reader import join_documents, reader_source
from scalable_aws.secrets import LARGEST, pack
from scalable_core.cluster.launcher import Fleet, MemberGroup, Offer
from scalable_core.errors import ClusterError, UsageError
from scalable_core.types.units import GIB

STANDING = standing.Standing(
    name="scalable-study",
    tags={"scalable-project": "study"},
    cluster="arn:cluster",
    execution_role="arn:execution",
    task_role="arn:task",
    security_group="sg-1",
    log_group="/scalable/scalable-study",
    vpc="vpc-1",
    subnets=tuple(f"subnet-{number}" for number in range(20)),
    public=False,
)
GROUP = MemberGroup(name="analysis", cpus=1.0, memory=2 * GIB, image="solar@sha256:1")


def options(**given):
    """Options of a target."""
    return FargateOptions(region="us-east-1", **given)


def test_a_definition_has_all_that_is_alike_and_nothing_of_a_run():
    """So that it is registered once: its family names its content."""
    program = Fleet.program(reader_source())
    one = requests.task_definition(GROUP, options(), STANDING, program)
    other = requests.task_definition(GROUP, options(architecture="arm64"), STANDING, program)

    (container,) = one["containerDefinitions"]
    assert one["family"].startswith("scalable-study-")
    assert one["family"] != other["family"]
    assert (one["cpu"], one["memory"]) == ("1024", "2048")
    assert container["stopTimeout"] == 120
    assert container["entryPoint"] == ["python", "-c", program]
    assert other["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    assert len(json.dumps(one)) < 64 * 1024
    compile(program, "program", "exec")


def test_sizes_are_rounded_up_and_the_scheduler_has_its_own():
    """Three vCPU become four, with the least memory that goes with them; disks only for workers."""
    given = options(ephemeral_storage=50 * GIB, scheduler_cpu=2.0, scheduler_mem=8 * GIB)
    worker = MemberGroup(name="w", cpus=3.0, image="i")
    scheduler = MemberGroup(name="scheduler", role="scheduler", image="i")

    big = requests.task_definition(worker, given, STANDING, "")
    small = requests.task_definition(scheduler, given, STANDING, "")

    assert (big["cpu"], big["memory"]) == ("4096", "8192")
    assert big["ephemeralStorage"] == {"sizeInGiB": 50}
    assert (small["cpu"], small["memory"]) == ("2048", "8192")
    assert "ephemeralStorage" not in small


@pytest.mark.parametrize("group", [MemberGroup(name="g", gpus=1), MemberGroup(name="g", cpus=64)])
def test_what_fargate_does_not_have_is_one_sentence(group):
    """With what to do instead."""
    with pytest.raises(UsageError, match="does not fit Fargate") as caught:
        requests.size_of(group, options())

    assert caught.value.cure == "ask for less, or use cluster_type: ec2"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["on-demand"]),
        ({"spot": True}, ["spot", "on-demand"]),
        ({"spot": False}, ["on-demand"]),
        ({"capacity": "spot"}, ["spot"]),
        ({"capacity": "spot_with_fallback"}, ["spot", "on-demand"]),
        ({"capacity": "on-demand"}, ["on-demand"]),
    ],
)
def test_offers_are_what_the_target_allows_and_the_scheduler_never_is_spot(given, names):
    """In the order to try, Spot being cheaper."""
    offers = requests.offers_of(GROUP, options(**given))
    scheduler = MemberGroup(name="scheduler", role="scheduler")

    assert [offer.name for offer in offers] == names
    assert [offer.hourly for offer in offers] == sorted(offer.hourly for offer in offers)
    assert [o.capacity for o in requests.offers_of(scheduler, options(**given))] == ["on-demand"]


def test_one_call_starts_ten_and_names_no_secret():
    """Its token comes of the names, so that the same call starts nothing more; a place is all it says."""
    names = [f"analysis-{number}" for number in range(10)]
    more = {
        "definition": "arn:definition", "options": options(), "standing": STANDING,
        "groups": ["sg-1"], "run": "run-1", "tags": {"scalable-run": "run-1"}, "place": "/s/run-1",
    }  # fmt: skip
    offer = Offer(name="spot", capacity="spot")
    one = requests.run_task(GROUP, names, offer, **more)

    assert one["count"] == 10
    assert one["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    assert "launchType" not in one
    network = one["networkConfiguration"]["awsvpcConfiguration"]
    assert len(network["subnets"]) == 16
    assert network["assignPublicIp"] == "DISABLED"
    (override,) = one["overrides"]["containerOverrides"]
    assert override == {"name": "member", "command": ["worker", "analysis", "*", "/s/run-1"]}
    assert one["clientToken"] == requests.run_task(GROUP, names, offer, **more)["clientToken"]
    assert one["clientToken"] != requests.run_task(GROUP, names[1:], offer, **more)["clientToken"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Capacity is unavailable at this time. Please try again later", "no-capacity"),
        ("RESOURCE:ENI", "no-capacity"),
        ("You've reached the limit on the number of vCPUs you can run concurrently", "quota"),
        ("You've reached the limit on the number of tasks you can run concurrently", "quota"),
        ("CannotPullContainerError: pull image manifest has been retried: not found", "image"),
        ("ECS was unable to assume the role 'arn:aws:iam::1:role/x'", "permission"),
        ("ResourceInitializationError: unable to pull secrets or registry auth: AccessDenied", "permission"),
        ("ResourceInitializationError: unable to pull secrets or registry auth: i/o timeout", "other"),
        ("Timeout waiting for network interface provisioning to complete.", "other"),
    ],
)  # fmt: skip
def test_the_words_of_a_failure_say_what_is_to_be_done(words, kind):
    """Another offer, another image, a permission, or none of these."""
    assert requests.meaning(words) == kind


def _task(**facts):
    details = [{"name": "privateIPv4Address", "value": "10.0.0.7"}]
    return {
        "taskArn": "arn:task/1",
        "lastStatus": "RUNNING",
        "attachments": [{"type": "ElasticNetworkInterface", "details": details}],
        "containers": [{"name": "member"}],
        **facts,
    }


@pytest.mark.parametrize("status", ["PROVISIONING", "PENDING", "ACTIVATING"])
def test_everything_before_running_is_pending(status):
    """No state on the way is taken for a failure."""
    member = requests.member_of(_task(lastStatus=status), "w-0", None)

    assert (member.state, member.failure) == ("pending", None)


@pytest.mark.parametrize("code", ["SpotInterruption", "TerminationNotice", "InfrastructureHealth"])
def test_a_task_that_is_taken_back_is_interrupted_while_it_still_runs(code):
    """Whatever the notice is called."""
    task = _task(desiredStatus="STOPPED", stopCode=code, stoppedReason="Your Spot Task was ...")
    member = requests.member_of(task, "w-0", None)

    assert (member.state, member.interrupted, member.address) == ("running", True, "10.0.0.7")


def test_a_task_that_never_ran_says_why():
    """Its container's own words come first."""
    task = _task(
        lastStatus="STOPPED", stopCode="TaskFailedToStart", stoppedReason="Task failed to start"
    )
    task["containers"][0]["reason"] = "CannotPullContainerError: not found"
    member = requests.member_of(task, "w-0", None)

    assert (member.state, member.failure) == ("stopped", "image")
    assert member.reason == "CannotPullContainerError: not found"


@given(st.dictionaries(st.text("abc/", min_size=1), st.text(max_size=9000), max_size=4))
def test_documents_travel_in_parameters_and_come_out_the_same(documents):
    """None is larger than the standard tier allows, and while one is missing there is nothing."""
    parts = pack(documents)
    named = [(f"/p/0-{part}-{len(parts)}", text) for part, text in enumerate(parts)]

    assert all(len(text) <= LARGEST for text in parts)
    assert join_documents(named) == documents
    assert join_documents(named[1:]) == {}


def test_a_request_is_signed_as_the_sdk_signs_it(monkeypatch):
    """Members have no SDK, and AWS checks every letter."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    from scalable_aws import reader

    keys = {"AccessKeyId": "AKIA1", "SecretAccessKey": "s3cret", "Token": "t0ken"}
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(reader, "_credentials", lambda: keys)
    sent = []

    class Answer:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self):
            return b"{}"

    def take(request, timeout):
        sent.append(request)
        return Answer()

    monkeypatch.setattr(reader.urllib.request, "urlopen", take)
    reader._ask("ssm", "AmazonSSM.GetParametersByPath", b'{"Path": "/a"}')

    (request,) = sent
    ours = {name.lower(): value for name, value in request.header_items()}
    assert request.full_url == "https://ssm.eu-central-1.amazonaws.com/"
    names = ("content-type", "x-amz-target", "host")
    theirs = AWSRequest(
        "POST", request.full_url, headers={name: ours[name] for name in names}, data=request.data
    )
    credentials = Credentials("AKIA1", "s3cret", "t0ken")
    signer = SigV4Auth(credentials, "ssm", "eu-central-1")
    theirs.context["timestamp"] = ours["x-amz-date"]
    theirs.headers["X-Amz-Date"] = ours["x-amz-date"]
    theirs.headers["X-Amz-Security-Token"] = "t0ken"
    text = signer.string_to_sign(theirs, signer.canonical_request(theirs))
    assert ours["authorization"].endswith(f"Signature={signer.signature(text, theirs)}")


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("solar-yield", "scalable-solar-yield"),
        ("Solar Yield", "scalable-solar-yield-"),
        ("x" * 60, "scalable-" + "x" * 30 + "-"),
    ],
)
def test_standing_things_have_the_project_s_name_as_aws_allows_it(project, name):
    """Two projects never share one, and no name is too long for a role's."""
    found = standing.standing_name(project)

    assert found.startswith(name)
    assert len(f"{found}-execution") <= 64
    assert standing.standing_name(project + "!") != found


def test_members_may_read_their_own_project_s_parameters_and_storage_alone():
    """Nothing in the policy of a member is for everything."""
    statements = standing.task_policy(
        "study", "s3://bucket/runs", standing.partition_of("us-gov-west-1")
    )

    resources = [statement["Resource"] for statement in statements]
    assert resources == [
        "arn:aws-us-gov:ssm:*:*:parameter/scalable/scalable-study/*",
        "arn:aws-us-gov:s3:::bucket/runs/*",
        "arn:aws-us-gov:s3:::bucket",
    ]


@pytest.mark.parametrize("named", ["0.0.0.0/0", "10.0.0.0/8", "203.0.113.0/23", "here"])
def test_a_port_is_never_opened_to_more_than_a_few_addresses(monkeypatch, named):
    """Not even when it is asked for."""
    monkeypatch.setenv(reach.VARIABLE, named)

    with pytest.raises(ClusterError, match=r"cannot be found out|at most 256") as caught:
        reach.caller_network(public=True)

    assert caught.value.cure
