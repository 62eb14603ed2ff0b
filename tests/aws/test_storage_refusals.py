"""A bucket that denies, is not there or is elsewhere, and credentials that are none: a sentence and a cure."""

from __future__ import annotations

import json
import urllib.request

import boto3
import pytest
from aws.faults import Fault

from scalable_aws.plugin import fetch_artifact, store_artifact
from scalable_aws.storage import S3Storage
from scalable_core.errors import ArtifactError, StorageError
from scalable_core.types import Artifact, HookContext


@pytest.fixture
def reader(moto, bucket, s3, monkeypatch):
    """The credentials of a user who may list and read, on a server that asks for permissions."""
    s3.put_object(Bucket=bucket, Key="there", Body=b"data")
    iam = boto3.client("iam", endpoint_url=moto)
    iam.create_user(UserName=bucket)
    may = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam.put_user_policy(UserName=bucket, PolicyName="read", PolicyDocument=policy)
    key = iam.create_access_key(UserName=bucket)["AccessKey"]

    def check(after: bytes) -> None:
        request = urllib.request.Request(f"{moto}/moto-api/reset-auth", after, method="POST")
        request.add_header("Content-Type", "text/plain")
        urllib.request.urlopen(request, timeout=30).close()

    check(b"0")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    yield
    check(b"inf")


@pytest.mark.parametrize("size", [10, 17 * 2**20])
def test_who_may_only_read_is_told_what_is_missing_to_write(reader, bucket, size):
    """The permission, and on what."""
    storage = S3Storage(f"s3://{bucket}/p")

    with pytest.raises(StorageError, match="AWS denies s3:PutObject") as caught:
        storage.put("key", bytes(size))

    assert f"allow s3:PutObject on arn:aws:s3:::{bucket}/p/key" in caught.value.cure
    with pytest.raises(StorageError, match="AWS denies s3:DeleteObject"):
        storage.delete("key")
    assert S3Storage(f"s3://{bucket}").get("there") == b"data"
    assert [one.key for one in S3Storage(f"s3://{bucket}").list("")] == ["there"]


def test_the_sdk_s_own_user_sees_the_same(reader, bucket):
    """An artifact is refused in the same words."""
    with pytest.raises(ArtifactError, match="AWS denies s3:PutObject"):
        store_artifact(Artifact(name="a", data=b"", run="r"), f"s3://{bucket}/a", HookContext())


@pytest.mark.parametrize("size", [10, 17 * 2**20])
def test_a_bucket_that_is_not_there_is_said_with_the_command_that_makes_it(s3, size):
    """By every verb."""
    storage = S3Storage("s3://no-such-bucket/p")
    verbs = [
        lambda: storage.get("key"),
        lambda: storage.put("key", bytes(size)),
        lambda: list(storage.list("")),
        lambda: storage.delete("key"),
    ]
    for verb in verbs:
        with pytest.raises(StorageError, match="there is no bucket 'no-such-bucket'") as caught:
            verb()
        assert "aws s3 mb s3://no-such-bucket" in caught.value.cure


@pytest.mark.parametrize(
    ("status", "code", "headers"),
    [
        (301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"}),
        (400, "AuthorizationHeaderMalformed", {"x-amz-bucket-region": "eu-west-1"}),
    ],
)
def test_a_bucket_in_another_region_is_followed(proxy, bucket, status, code, headers):
    """The next request is signed for the region that the answer names, and so are all after it."""
    proxy.inject(Fault("refuse", status=status, code=code, headers=headers))
    storage = S3Storage(f"s3://{bucket}/p")

    storage.put("key", b"data")
    assert storage.get("key") == b"data"

    regions = [seen.headers["Authorization"].split("/")[2] for seen in proxy.seen]
    assert regions == ["us-east-1", "eu-west-1", "eu-west-1"]


def test_a_bucket_that_is_always_elsewhere_is_said(proxy, bucket):
    """Requests do not go in circles."""
    proxy.inject(
        Fault("refuse", times=None, status=301, code="PermanentRedirect"),
    )

    with pytest.raises(StorageError, match="is in another region"):
        S3Storage(f"s3://{bucket}/p").get("key")

    assert len(proxy.seen) == 1


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("ExpiredToken", "the AWS credentials have expired"),
        ("InvalidAccessKeyId", "AWS does not know these credentials"),
        ("RequestTimeTooSkewed", "the clock of this machine is wrong"),
    ],
)
def test_credentials_that_do_not_work_are_said(proxy, bucket, code, sentence):
    """With what to do."""
    proxy.inject(Fault("refuse", times=None, status=403, code=code))

    with pytest.raises(StorageError, match=sentence) as caught:
        S3Storage(f"s3://{bucket}/p").get("key")

    assert caught.value.cure


def test_no_credentials_at_all_are_said_at_once(proxy, bucket, monkeypatch):
    """Nothing is sent."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(StorageError, match="there are no AWS credentials") as caught:
        S3Storage(f"s3://{bucket}/p").put("key", b"")

    assert "aws configure" in caught.value.cure
    assert proxy.seen == []


def test_a_profile_that_is_not_there_is_said(proxy, bucket, monkeypatch):
    """By its name."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(StorageError, match="nobody"):
        S3Storage(f"s3://{bucket}/p").get("key")


def test_a_file_that_cannot_be_used_is_said(bucket, tmp_path):
    """It is not the bucket's fault."""
    uri = f"s3://{bucket}/p/key"
    storage = S3Storage(f"s3://{bucket}/p")
    with pytest.raises(StorageError, match=r"key cannot be written: .*no-file: No such file"):
        storage.put("key", tmp_path / "no-file")

    ref = store_artifact(Artifact(name="key", data=b"data", run="r"), uri, HookContext())
    with pytest.raises(ArtifactError, match=r"key cannot be read: .*no-folder.*: No such file"):
        fetch_artifact(ref, tmp_path / "no-folder" / "back", HookContext())
